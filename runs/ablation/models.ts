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

/** The source that gets the target's tokenizer, and what that takes. */
const AGAIN = "speeches";
const again: Record<string, Flag> = { steps: 500, "learning-rate": 1e-3 };

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
 * A source with the target's tokenizer: what there would be to gain if nothing
 * had to be aligned. It is trained on its own text until it predicts that about
 * as well as before. Of the two sources it is the one of speeches; the one of
 * code would take three times as long.
 *
 * @param cast The demo's models.
 * @param corpus Directory of the corpus.
 * @param out Where the model goes.
 * @returns The target, and the source with its tokenizer.
 */
export async function sameTokenizer(
  cast: Cast,
  corpus: string,
  out: string,
): Promise<Cast> {
  const start = `${out}/${AGAIN}/start`;
  const model = `${out}/${AGAIN}/model`;
  await retokenize(cast.sources[AGAIN]!, cast.target, start);
  await pta("train", {
    model: start,
    data: `${corpus}/${AGAIN}/source-train.jsonl`,
    validation: `${corpus}/${AGAIN}/validation.jsonl`,
    out: model,
    ...training,
    ...again,
  });
  return { target: cast.target, sources: { [AGAIN]: model } };
}
