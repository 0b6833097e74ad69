import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { integer, string } from "@optique/core/valueparser";
import { type Capture, capture } from "#/runs/demo/capture.ts";
import { cast } from "#/runs/demo/cast.ts";
import { shuffleTeacher, smoothLabels } from "#/runs/demo/controls.ts";
import { filesOf, writeCorpus } from "#/runs/demo/corpus.ts";
import { fused, plain } from "#/runs/demo/settings.ts";
import {
  score,
  type Scores,
  type Student,
  teach,
} from "#/runs/demo/student.ts";
import { type Command, defineCommand, type Report } from "#/stages/command.ts";

const METHODS = ["min-edit-distance", "optimal-transport"];
const SMOOTHING = 0.1;

/** `pta run demo-results`. */
export const command: Command = defineCommand(
  "demo-results",
  "The demo over several seeds, with controls: what docs/results.md reports",
  object("Results", {
    out: withDefault(
      option("--out", string({ metavar: "DIR" }), {
        description: message`Where everything of the run goes`,
      }),
      "out/demo-results",
    ),
    seeds: withDefault(
      option("--seeds", integer({ min: 1 }), {
        description: message`How many seeds, from 0 on`,
      }),
      3,
    ),
  }),
  report,
);

async function report(
  { out, seeds }: { out: string; seeds: number },
): Promise<Report> {
  const corpus = `${out}/corpus`;
  await writeCorpus(corpus);
  const texts = Object.values(filesOf(corpus, "fusion"));
  const captured = await capture(cast, texts, METHODS, `${out}/capture`);
  await addControls(captured, `${out}/capture/aligned`);
  const target = { model: cast.target, representations: captured.target };
  const tests = filesOf(corpus, "test");

  const results: Record<string, Scores[]> = {
    before: [await score(cast.target, tests)],
  };
  for (let seed = 0; seed < seeds; seed++) {
    for (const [name, student] of Object.entries(students(captured, seed))) {
      const scores = await teach(
        `${name}-${seed}`,
        student,
        target,
        tests,
        out,
      );
      (results[name] ??= []).push(scores);
    }
  }
  const summary = { seeds, smoothing: SMOOTHING, bits_per_byte: results };
  await Deno.writeTextFile(
    `${out}/results.json`,
    JSON.stringify(summary, null, 2) + "\n",
  );
  return { text: markdown(results), lines: [summary] };
}

/** Teachers that know nothing, beside the aligned ones. */
async function addControls(captured: Capture, out: string): Promise<void> {
  const real = captured.aligned["optimal-transport"]!;
  captured.aligned["shuffled-teacher"] = [];
  for (const aligned of real) {
    const to = `${out}/shuffled-teacher/${aligned.split("/").at(-1)}`;
    await shuffleTeacher(aligned, to, 0);
    captured.aligned["shuffled-teacher"].push(to);
  }
  const smooth = `${out}/label-smoothing/smooth`;
  await smoothLabels(captured.target, smooth, SMOOTHING);
  captured.aligned["label-smoothing"] = [smooth];
}

function students(captured: Capture, seed: number): Record<string, Student> {
  const taught = Object.keys(captured.aligned).map((method) =>
    [method, fused(captured, method, seed)] as const
  );
  return { plain: plain(seed), ...Object.fromEntries(taught) };
}

/** Means over the seeds, and how far the seeds lie apart. */
function markdown(results: Record<string, Scores[]>): string {
  const domains = Object.keys(results.before![0]!);
  const rows = Object.entries(results).map(([name, runs]) => {
    const cells = domains.map((domain) => {
      const values = runs.map((scores) => scores[domain]!);
      const mean = values.reduce((sum, value) => sum + value, 0) /
        values.length;
      const spread = Math.max(...values) - Math.min(...values);
      return `${mean.toFixed(4)} (${spread.toFixed(4)})`;
    });
    return `| ${[name, ...cells].join(" | ")} |`;
  });
  return [
    `| student | ${domains.join(" | ")} |`,
    `| --- | ${domains.map(() => "---").join(" | ")} |`,
    ...rows,
  ].join("\n");
}
