import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { capture } from "#/runs/demo/capture.ts";
import { cast } from "#/runs/demo/cast.ts";
import { filesOf, writeCorpus } from "#/runs/demo/corpus.ts";
import { fused, plain, type Tuning } from "#/runs/demo/settings.ts";
import { teach } from "#/runs/demo/student.ts";
import { type Command, defineCommand, type Report } from "#/stages/command.ts";

const METHOD = "optimal-transport";
const LEARNING_RATES = [2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3];
const LM_WEIGHTS = [0.1, 0.5, 0.7];
/** λ while the learning rate is chosen. */
const FIRST_LM_WEIGHT = 0.3;
/** None of the seeds that results are reported for. */
const SEED = 100;

/** What one trial gave, on validation text. */
interface Trial extends Tuning {
  /** `plain` or `fused`. */
  student: string;
  /** Bits per byte by domain, and their mean. */
  scores: Record<string, number>;
  /** What is chosen by. */
  mean: number;
}

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
  const captured = await capture(cast, texts, [METHOD], `${out}/capture`);
  const target = { model: cast.target, representations: captured.target };
  const validation = filesOf(corpus, "validation");

  const trials: Trial[] = [];
  const attempt = async (student: string, tuning: Tuning) => {
    const { learningRate, lmWeight } = tuning;
    const scores = await teach(
      `${student}-${learningRate}-${lmWeight}`,
      student === "plain"
        ? plain(SEED, tuning)
        : fused(captured, METHOD, SEED, tuning),
      target,
      validation,
      out,
    );
    const values = Object.values(scores);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    trials.push({ student, ...tuning, scores, mean });
  };
  for (const learningRate of LEARNING_RATES) {
    await attempt("plain", { learningRate, lmWeight: 1 });
    await attempt("fused", { learningRate, lmWeight: FIRST_LM_WEIGHT });
  }
  const { learningRate } = bestFused(trials);
  for (const lmWeight of LM_WEIGHTS) {
    await attempt("fused", { learningRate, lmWeight });
  }
  const chosen = { plain: bestPlain(trials), fused: bestFused(trials) };
  await Deno.writeTextFile(
    `${out}/settings.json`,
    JSON.stringify({ chosen, trials }, null, 2) + "\n",
  );
  return { text: trials.map(row).join("\n"), lines: [chosen, ...trials] };
}

/** Lowest mean over the domains. */
function bestPlain(trials: readonly Trial[]): Trial {
  return trials.filter(({ student }) => student === "plain")
    .reduce((a, b) => a.mean <= b.mean ? a : b);
}

/** Largest gain over the best plain student on the domain that gains least. */
function bestFused(trials: readonly Trial[]): Trial {
  const { scores: reference } = bestPlain(trials);
  const leastGain = ({ scores }: Trial) =>
    Math.min(
      ...Object.entries(scores).map(([domain, value]) =>
        reference[domain]! - value
      ),
    );
  return trials.filter(({ student }) => student === "fused")
    .reduce((a, b) => leastGain(a) >= leastGain(b) ? a : b);
}

function row({ student, learningRate, lmWeight, scores, mean }: Trial): string {
  const cells = Object.entries({ ...scores, mean })
    .map(([name, value]) => `${name} ${value.toFixed(4)}`);
  return [student, `lr ${learningRate}`, `λ ${lmWeight}`, ...cells].join("  ");
}
