import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, integer, string } from "@optique/core/valueparser";
import { architectures } from "#/runs/demo/architectures.ts";
import { filesOf, writeCorpus } from "#/runs/demo/corpus.ts";
import { type Flag, pta } from "#/runs/demo/pta.ts";
import { trainTokenizers } from "#/runs/demo/tokenizers.ts";
import { type Command, defineCommand, type Report } from "#/stages/command.ts";

type Name = keyof typeof architectures;

/** What each model learns on, in the splits of the corpus, and for how long. */
const curricula: Record<Name, { data: string[]; steps: number }> = {
  target: {
    data: ["novel/target-train", "speeches/target-train", "code/target-train"],
    steps: 600,
  },
  speeches: { data: ["speeches/source-train"], steps: 1600 },
  code: { data: ["code/source-train"], steps: 1600 },
};

const shared: Record<string, Flag> = {
  length: 256,
  "batch-size": 8,
  "learning-rate": 2e-3,
  "warmup-ratio": 0.05,
  "log-every": 20,
  "eval-every": 200,
  "save-every": 200,
  dtype: "bf16",
};

/** `pta run demo-models`. */
export const command: Command = defineCommand(
  "demo-models",
  "Train the three models that the demo fuses, from nothing",
  object("Models", {
    only: optional(
      option("--only", choice(Object.keys(architectures) as Name[]), {
        description: message`Train one of them (default: all, in turn)`,
      }),
    ),
    out: withDefault(
      option("--out", string({ metavar: "DIR" }), {
        description: message`Where corpus, tokenizers and models go`,
      }),
      "out/demo-models",
    ),
    threads: withDefault(
      option("--threads", integer({ min: 1 }), {
        description: message`Threads of onnxruntime`,
      }),
      1,
    ),
  }),
  trainModels,
);

async function trainModels(
  { only, out, threads }: {
    only?: Name | undefined;
    out: string;
    threads: number;
  },
): Promise<Report> {
  const corpus = `${out}/corpus`;
  await writeCorpus(corpus);
  await trainTokenizers(corpus, `${out}/tokenizers`);
  const names = only ? [only] : Object.keys(architectures) as Name[];
  const lines = [];
  for (const name of names) {
    const config = `${out}/${name}.json`;
    await Deno.writeTextFile(
      config,
      JSON.stringify(architectures[name], null, 2) + "\n",
    );
    const { data, steps } = curricula[name];
    lines.push(
      ...await pta("train", {
        config,
        tokenizer: `${out}/tokenizers/${name}`,
        data: data.map((path) => `${corpus}/${path}.jsonl`),
        validation: Object.values(filesOf(corpus, "validation")),
        steps,
        out: `${out}/${name}`,
        resume: true,
        threads,
        ...shared,
      }),
    );
  }
  return { text: `Trained ${names.join(", ")} in ${out}`, lines };
}
