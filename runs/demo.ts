import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { integer, string } from "@optique/core/valueparser";
import { type Command, defineCommand, type Report } from "#/stages/command.ts";
import { capture } from "#/runs/demo/capture.ts";
import { filesOf, writeCorpus } from "#/runs/demo/corpus.ts";
import { cast } from "#/runs/demo/cast.ts";
import { say } from "#/runs/demo/pta.ts";
import { fused, plain } from "#/runs/demo/settings.ts";
import { score, type Scores, teach } from "#/runs/demo/student.ts";

const METHODS = ["min-edit-distance", "optimal-transport"];

/** What `out/demo/results.json` holds. */
export interface DemoResults {
  /** Seed of the data order. */
  seed: number;
  /** Seconds the whole run took. */
  seconds: number;
  /** Bits per byte on held-out text, by student and domain. */
  bits_per_byte: Record<string, Scores>;
}

/** `pta run demo`. */
export const command: Command = defineCommand(
  "demo",
  "Fuse a GPT-2 and an MPT into a Llama, three tokenizers, in five minutes",
  object("Demo", {
    out: withDefault(
      option("--out", string({ metavar: "DIR" }), {
        description: message`Where everything of the run goes`,
      }),
      "out/demo",
    ),
    seed: withDefault(
      option("--seed", integer({ min: 0 }), {
        description: message`Seed of the data order; docs/results.md has 0–2`,
      }),
      0,
    ),
  }),
  demo,
);

async function demo(
  { out, seed }: { out: string; seed: number },
): Promise<Report> {
  const start = performance.now();
  const corpus = `${out}/corpus`;
  await writeCorpus(corpus);
  const models = cast;
  const tests = filesOf(corpus, "test");
  const captured = await capture(
    models,
    Object.values(filesOf(corpus, "fusion")),
    METHODS,
    `${out}/capture`,
  );

  const results: Record<string, Scores> = {
    before: await score(models.target, tests),
  };
  const target = { model: models.target, representations: captured.target };
  const students = {
    plain: plain(seed),
    ...Object.fromEntries(
      METHODS.map((method) => [method, fused(captured, method, seed)]),
    ),
  };
  for (const [name, student] of Object.entries(students)) {
    results[name] = await teach(
      `${name}-${seed}`,
      student,
      target,
      tests,
      out,
    );
  }

  const seconds = Math.round((performance.now() - start) / 1000);
  const summary = { seed, seconds, bits_per_byte: results };
  await Deno.writeTextFile(
    `${out}/results.json`,
    JSON.stringify(summary, null, 2) + "\n",
  );
  await say("\n");
  return { text: table(results, seconds), lines: [summary] };
}

/** Bits per byte, a row a domain and a column a student. */
function table(results: Record<string, Scores>, seconds: number): string {
  const names = Object.keys(results);
  const width = (name: string) => Math.max(name.length, 6);
  const head = ["domain  ", ...names].join("  ");
  const rows = Object.keys(results[names[0]!]!).map((domain) => {
    const cells = names.map((name) =>
      results[name]![domain]!.toFixed(3).padStart(width(name))
    );
    return [domain.padEnd(8), ...cells].join("  ");
  });
  return [
    `Bits per byte on held-out text (lower is better), ${seconds} s`,
    head,
    ...rows,
  ].join("\n");
}
