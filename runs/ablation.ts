import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, integer, string } from "@optique/core/valueparser";
import { type Arm, arms, usual } from "#/runs/ablation/arms.ts";
import { Lab, type Prepared } from "#/runs/ablation/lab.ts";
import {
  sameTokenizer,
  targetWith,
  vocabularies,
} from "#/runs/ablation/models.ts";
import {
  type AblationResults,
  type ArmResult,
  markdown,
  writeTables,
} from "#/runs/ablation/report.ts";
import { cast } from "#/runs/demo/cast.ts";
import { writeCorpus } from "#/runs/demo/corpus.ts";
import {
  type Command,
  defineCommand,
  list,
  type Report,
} from "#/stages/command.ts";

interface Flags {
  out: string;
  seeds: number | undefined;
  steps: number | undefined;
  only: readonly string[];
  quick: boolean;
  docs: string | undefined;
  threads: number | undefined;
}

/** Arms that show what the target's vocabulary does to fusion. */
const REGIME_ARMS = [
  "plain",
  "images, min-edit-distance",
  "optimal-transport",
  "continuations",
];

/** What a look in passing is content with. */
const QUICK = {
  steps: 60,
  seeds: 1,
  arms: ["plain", "FuseLLM as published", "optimal-transport", "continuations"],
};

/** A question by name: its arms, which target they train, and how often. */
interface Question {
  arms: readonly Arm[];
  target: string;
  /** Defaults to 3. */
  seeds?: number;
}

const questions: Record<string, Question> = {
  ...mapValues(arms, (each) => ({ arms: each, target: "demo" })),
  // Kernels that have no place in the training graph take their time.
  losses: { arms: arms.losses, target: "1024 pieces" },
  // Many arms, of small effects and large ones: the large ones show.
  defects: { arms: arms.defects, target: "demo", seeds: 1 },
  "defects downstream": {
    arms: arms["defects downstream"],
    target: "demo",
    seeds: 1,
  },
  ...Object.fromEntries(
    Object.keys(vocabularies).map((target) => [`target: ${target}`, {
      arms: arms.methods.filter(({ name }) => REGIME_ARMS.includes(name)),
      target,
    }]),
  ),
};

/** `pta run ablation`. */
export const command: Command = defineCommand(
  "ablation",
  "Every method on the same captured text, over several seeds",
  object("Ablation", {
    out: withDefault(
      option("--out", string({ metavar: "DIR" }), {
        description: message`Where everything of the run goes`,
      }),
      "out/ablation",
    ),
    seeds: optional(
      option("--seeds", integer({ min: 1 }), {
        description:
          message`How many seeds, from 0 on (default: 3, of the defects 1)`,
      }),
    ),
    steps: optional(
      option("--steps", integer({ min: 1 }), {
        description:
          message`Updates of every student (default: 150, of the defects and losses 60)`,
      }),
    ),
    only: list(
      option("--only", choice(Object.keys(questions)), {
        description: message`Questions to ask (default: all)`,
      }),
      0,
    ),
    quick: option("--quick", {
      description:
        message`Four methods, one seed, 60 steps: within ten minutes`,
    }),
    threads: optional(
      option("--threads", integer({ min: 1 }), {
        description:
          message`Threads of onnxruntime while training (default: all cores)`,
      }),
    ),
    docs: optional(
      option("--docs", string({ metavar: "DIR" }), {
        description:
          message`Also put the tables into results.md there, and ablation.json beside it; questions that are not asked keep their last answer`,
      }),
    ),
  }),
  ablate,
);

async function ablate(flags: Flags): Promise<Report> {
  const { out, quick, docs } = flags;
  const steps = flags.steps ?? (quick ? QUICK.steps : undefined);
  await writeCorpus(`${out}/corpus`);
  const results: AblationResults = { before: {}, groups: {} };
  for (const [name, question] of Object.entries(asked(flags))) {
    const { arms, target } = question;
    const seeds = flags.seeds ?? (quick ? QUICK.seeds : question.seeds ?? 3);
    const lab = await openLab(target, flags);
    results.before[target] = await lab.before();
    const group: ArmResult[] = results.groups[name] = [];
    // A seed of all arms after the other, so that what is there can be compared.
    const prepared: Prepared[] = [];
    for (const arm of arms) {
      const ready = await lab.prepare(arm);
      const { teachers } = ready;
      prepared.push(ready);
      group.push({
        name: arm.name,
        ...(teachers && { teachers }),
        steps: steps ?? Number(arm.flags?.steps ?? usual.steps),
        students: [],
      });
    }
    for (let seed = 0; seed < seeds; seed++) {
      for (const [i, arm] of prepared.entries()) {
        group[i]!.students.push(
          await lab.teach(arm, {
            seed,
            ...(steps !== undefined && { steps }),
          }),
        );
        await write(`${out}/results.json`, results);
      }
    }
  }
  if (docs) {
    const all = await merged(`${docs}/ablation.json`, results);
    await write(`${docs}/ablation.json`, all);
    await writeTables(`${docs}/results.md`, markdown(all));
  }
  return { text: markdown(results), lines: [results] };
}

function asked({ only, quick }: Flags): Record<string, Question> {
  const all = Object.entries(questions);
  if (only.length > 0) {
    return Object.fromEntries(all.filter(([name]) => only.includes(name)));
  }
  if (!quick) return questions;
  const { methods } = arms;
  return {
    methods: {
      arms: methods.filter(({ name }) => QUICK.arms.includes(name)),
      target: "demo",
    },
  };
}

async function openLab(
  target: string,
  { out, threads }: Flags,
): Promise<Lab> {
  const corpus = `${out}/corpus`;
  const models = target === "demo" ? cast : {
    ...cast,
    target: await targetWith(target, corpus, `${out}/targets`),
  };
  return await Lab.open({
    cast: models,
    sameTokenizer: () => sameTokenizer(models, corpus, `${out}/same-tokenizer`),
    corpus,
    out: `${out}/${target.replaceAll(" ", "-")}`,
    threads,
  });
}

/** Questions that were not asked keep their last answer. */
async function merged(
  file: string,
  { before, groups }: AblationResults,
): Promise<AblationResults> {
  const last = await readResults(file);
  const all = { ...last.groups, ...groups };
  return {
    before: { ...last.before, ...before },
    groups: Object.fromEntries(
      Object.keys(questions).filter((name) => all[name])
        .map((name) => [name, all[name]!]),
    ),
  };
}

async function readResults(file: string): Promise<AblationResults> {
  try {
    return JSON.parse(await Deno.readTextFile(file));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return { before: {}, groups: {} };
    }
    throw error;
  }
}

async function write(file: string, results: AblationResults): Promise<void> {
  await Deno.writeTextFile(file, JSON.stringify(results, null, 2) + "\n");
}

function mapValues<Value, Result>(
  table: Record<string, Value>,
  change: (value: Value) => Result,
): Record<string, Result> {
  return Object.fromEntries(
    Object.entries(table).map(([key, value]) => [key, change(value)]),
  );
}
