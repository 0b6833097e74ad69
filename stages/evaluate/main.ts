import { object } from "@optique/core/constructs";
import { text as words } from "@optique/core/message";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { resolveModel } from "#/models/mod.ts";
import {
  type Command,
  defineCommand,
  list,
  type Report,
  runCommand,
} from "#/stages/command.ts";
import {
  batchTokensFlag,
  modelFlags,
  scorerWorkersFlag,
} from "#/stages/model_flags.ts";
import { Progress } from "#/stages/progress.ts";
import { openScorerPool } from "#/stages/scorer_pool.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { tasks } from "./tasks/mod.ts";
import type { FileResult } from "./tasks/task.ts";

type TaskName = keyof typeof tasks;

interface Flags extends Record<TaskName, readonly string[]> {
  model: string;
  batchTokens: number;
  device: "auto" | "cpu" | "cuda" | "webgpu";
  dtype: "f32" | "f16" | "bf16";
  workers: number | undefined;
}

/** `pta evaluate`. */
export const command: Command = defineCommand(
  "evaluate",
  "Measure a model: bits per byte of text, accuracy on multiple choice",
  object("Evaluate", {
    ...modelFlags,
    text: taskFlag("text"),
    choices: taskFlag("choices"),
    ...batchTokensFlag,
    ...scorerWorkersFlag,
  }),
  run,
);

async function run(flags: Flags): Promise<Report> {
  const wanted = (Object.keys(tasks) as TaskName[])
    .filter((name) => flags[name].length > 0);
  if (wanted.length === 0) {
    const names = Object.keys(tasks).map((name) => `--${name}`).join(" or ");
    throw new RangeError(`Cannot evaluate: nothing to do, expected ${names}`);
  }
  const directory = await resolveModel(flags.model);
  const tokenizer = await loadTokenizer(directory);
  const totals = await Promise.all(
    wanted.map((name) => tasks[name].count(flags[name])),
  );
  const { batchTokens, device, dtype, workers } = flags;
  await using scorer = await openScorerPool(directory, {
    ...{ device, dtype, workers },
    sequences: Infinity,
  });
  const { concurrency } = scorer;
  const results: FileResult[] = [];
  for (const [i, name] of wanted.entries()) {
    using bar = new Progress(`evaluate ${name}`, totals[i]!, "items");
    const measured = await tasks[name].evaluate(
      flags[name],
      { tokenizer, scorer },
      { batchTokens, concurrency, onItems: (count) => bar.advance(count) },
    );
    results.push(...measured);
  }
  return { text: results.map(describe).join("\n"), lines: results };
}

function taskFlag(name: TaskName) {
  return list(
    option(`--${name}`, string({ metavar: "FILE" }), {
      description: [words(tasks[name].description)],
    }),
    0,
  );
}

function describe({ file, ...measures }: FileResult): string {
  const parts = Object.entries(measures).map(([name, value]) =>
    `${name} ${
      typeof value === "number" && !Number.isInteger(value)
        ? value.toPrecision(5)
        : value
    }`
  );
  return `${file}: ${parts.join(", ")}`;
}

if (import.meta.main) await runCommand(command);
