import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const { tasks } = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...[...Deno.readDirSync(join(root, "docs"))]
    .filter(({ name }) => name.endsWith(".md"))
    .map(({ name }) => `docs/${name}`),
];
/** A whole line that runs a task. */
const COMMAND = /^ *(?:npx --yes deno@\S+|deno) task ([\w:-]+)(.*)$/gm;
const helps = new Map<string, Promise<string>>();

for (const page of pages) {
  Deno.test(`${page} names tasks and flags that exist`, async () => {
    const text = await Deno.readTextFile(join(root, page));
    for (const [line, task, rest] of text.matchAll(COMMAND)) {
      assert.ok(task! in tasks, `no such task: ${line}`);
      const flags = rest!.match(/(?<= )--[a-z][\w-]*/g) ?? [];
      if (flags.length === 0 || !isStage(task!)) continue;
      const help = await helpOf(task!);
      for (const flag of flags) {
        assert.match(help, new RegExp(`${flag}\\b(?!-)`), line);
      }
    }
  });

  Deno.test(`${page} links to files that exist`, async () => {
    const text = await Deno.readTextFile(join(root, page));
    for (const [, link] of text.matchAll(/\]\((?!\w+:)([^)#]+)/g)) {
      await Deno.stat(new URL(link!, new URL(`../${page}`, import.meta.url)));
    }
  });
}

/** Whether a task is one command of `pta`: its script and a name. */
function isStage(task: string): boolean {
  return / \S+\.ts [\w-]/.test(tasks[task].command ?? "");
}

function helpOf(stage: string): Promise<string> {
  const known = helps.get(stage);
  if (known) return known;
  const [command] = / \S+\.ts .*/.exec(tasks[stage].command)!;
  const help = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", ...command!.trim().split(" "), "--help"],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output().then(({ stdout, stderr }) =>
    new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr)
  );
  helps.set(stage, help);
  return help;
}
