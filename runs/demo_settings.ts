import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { capture } from "#/runs/demo/capture.ts";
import { cast } from "#/runs/demo/cast.ts";
import { filesOf, writeCorpus } from "#/runs/demo/corpus.ts";
import { fused, plain, type Tuning } from "#/runs/demo/settings.ts";
import { type Student, teach } from "#/runs/demo/student.ts";
import { type Command, defineCommand, type Report } from "#/stages/command.ts";

const LEARNING_RATES = [5e-4, 1e-3, 2e-3, 4e-3];
const LM_WEIGHTS = [0.1, 0.3, 0.5];
const SEED = 100;

/** `pta run demo-settings`. */
export const command: Command = defineCommand(
  "demo-settings",
  "Choose the demo's settings on validation text",
  object("Settings", {
    out: withDefault(
      option("--out", string({ metavar: "DIR" }), {
        description: message`Where everything of the run goes`,
      }),
      "out/demo-settings",
    ),
  }),
  chooseSettings,
);

async function chooseSettings({ out }: { out: string }): Promise<Report> {
  const corpus = `${out}/corpus`;
  await writeCorpus(corpus);
  const texts = Object.values(filesOf(corpus, "fusion"));
  const method = "optimal-transport";
  const captured = await capture(cast, texts, [method], `${out}/capture`);
  const target = { model: cast.target, representations: captured.target };
  const validation = filesOf(corpus, "validation");

  const trials: [string, Tuning, Student][] = LEARNING_RATES.flatMap(
    (learningRate) => [
      trial("plain", { learningRate, lmWeight: 1 }, plain),
      ...LM_WEIGHTS.map((lmWeight) =>
        trial(
          "fused",
          { learningRate, lmWeight },
          (seed, tuning) => fused(captured, method, seed, tuning),
        )
      ),
    ],
  );
  const lines = [];
  for (const [name, tuning, student] of trials) {
    const id = `${name}-${tuning.learningRate}-${tuning.lmWeight}`;
    const scores = await teach(id, student, target, validation, out);
    const values = Object.values(scores);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    lines.push({ student: name, ...tuning, ...scores, mean });
  }
  const text = lines.map((line) => JSON.stringify(line)).join("\n");
  await Deno.writeTextFile(`${out}/settings.jsonl`, text + "\n");
  return { text, lines };
}

function trial(
  name: string,
  tuning: Tuning,
  student: (seed: number, tuning: Tuning) => Student,
): [string, Tuning, Student] {
  return [name, tuning, student(SEED, tuning)];
}
