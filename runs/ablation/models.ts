import { architectures } from "#/runs/demo/architectures.ts";
import type { Cast } from "#/runs/demo/capture.ts";
import { filesOf } from "#/runs/demo/corpus.ts";
import { type Flag, pta } from "#/runs/demo/pta.ts";
import { TOKENIZERS, trainTokenizers } from "#/runs/demo/tokenizers.ts";
import type { TrainerOptions } from "#/tools/bpe_trainer.ts";
import { retokenize } from "./retokenize.ts";

/** Other vocabularies of the target, from the one extreme on. */
export const vocabularies: Record<string, TrainerOptions> = {
  "bytes": { kind: "byte-level", vocabSize: 257 },
  "1024 pieces": { kind: "sentencepiece", vocabSize: 1024 },
};

/** What it takes until a source is itself again with the target's tokenizer. */
const again: Record<string, Record<string, Flag>> = {
  speeches: { steps: 500, "learning-rate": 1e-3 },
  code: { steps: 1500 },
};

const training: Record<string, Flag> = {
  length: 256,
  "batch-size": 8,
  "learning-rate": 2e-3,
  "warmup-ratio": 0.05,
  "save-every": 0,
  "eval-every": 100,
  resume: true,
};

/**
 * Train the demo's target anew with another vocabulary, on the same text for as
 * many steps.
 *
 * @param name One of {@linkcode vocabularies}.
 * @param corpus Directory of the corpus.
 * @param out Where tokenizer and model go.
 * @returns Directory of the model.
 */
export async function targetWith(
  name: string,
  corpus: string,
  out: string,
): Promise<string> {
  const options = vocabularies[name]!;
  const directory = `${out}/${name.replaceAll(" ", "-")}`;
  await trainTokenizers(corpus, `${directory}/tokenizer`, {
    target: { ...TOKENIZERS.target!, options },
  });
  const config = `${directory}/config.json`;
  await Deno.writeTextFile(
    config,
    JSON.stringify(
      { ...architectures.target, vocab_size: options.vocabSize },
      null,
      2,
    ),
  );
  await pta("train", {
    config,
    tokenizer: `${directory}/tokenizer/target`,
    data: ["novel", "speeches", "code"].map((domain) =>
      `${corpus}/${domain}/target-train.jsonl`
    ),
    validation: Object.values(filesOf(corpus, "validation")),
    steps: 600,
    out: `${directory}/model`,
    ...training,
  });
  return `${directory}/model`;
}

/**
 * The sources with the target's tokenizer: what there would be to gain if
 * nothing had to be aligned. Each is trained on its own text until it predicts
 * it about as well as the source that it comes from.
 *
 * @param cast The demo's models.
 * @param corpus Directory of the corpus.
 * @param out Where the models go.
 * @returns The target, and the sources with its tokenizer.
 */
export async function sameTokenizer(
  cast: Cast,
  corpus: string,
  out: string,
): Promise<Cast> {
  const sources: Cast["sources"] = {};
  for (const [name, source] of Object.entries(cast.sources)) {
    const start = `${out}/${name}/start`;
    await retokenize(source, cast.target, start);
    await pta("train", {
      model: start,
      data: `${corpus}/${name}/source-train.jsonl`,
      validation: `${corpus}/${name}/validation.jsonl`,
      out: `${out}/${name}/model`,
      ...training,
      ...again[name],
    });
    sources[name] = `${out}/${name}/model`;
  }
  return { target: cast.target, sources };
}
