import { openCheckpoint, readWeight, saveCheckpoint } from "#/models/mod.ts";
import { TextPieces } from "#/stages/text_pieces.ts";
import { loadTokenizer, type Tokenizer } from "#/tokenizers/mod.ts";

const TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json"];

/**
 * Give a model another tokenizer: a new token gets the mean of the embeddings
 * of the old tokens that write its bytes. A beginning, to be trained on.
 *
 * @param model Directory of the model, whose embeddings are tied.
 * @param tokenizer Directory of the other tokenizer.
 * @param out Where the new model goes.
 * @throws {RangeError} If the model does not have one table of embeddings.
 * @see Gee et al. 2022, {@link https://arxiv.org/abs/2402.09977}: fast
 * vocabulary transfer.
 */
export async function retokenize(
  model: string,
  tokenizer: string,
  out: string,
): Promise<void> {
  const checkpoint = await openCheckpoint(model);
  const [before, after] = [
    await loadTokenizer(model),
    await loadTokenizer(tokenizer),
  ];
  const weights = new Map<string, { shape: number[]; data: Float32Array }>();
  let tables = 0;
  for (const [name, info] of checkpoint.weights) {
    const data = await readWeight(info);
    const [rows, width] = info.shape;
    if (rows !== checkpoint.vocabSize || width === undefined) {
      weights.set(name, { shape: info.shape, data });
      continue;
    }
    tables++;
    weights.set(name, {
      shape: [after.vocabSize, width],
      data: transferred(data, width, before, after),
    });
  }
  if (tables !== 1) {
    throw new RangeError(
      `Cannot give ${model} another tokenizer: it has ${tables} weights with ` +
        `a row for each token, expected 1`,
    );
  }
  const config = {
    ...checkpoint.config,
    vocab_size: after.vocabSize,
    bos_token_id: after.special.bos,
    eos_token_id: after.special.eos,
  };
  await saveCheckpoint(out, config, weights);
  for (const file of TOKENIZER_FILES) {
    await Deno.copyFile(`${tokenizer}/${file}`, `${out}/${file}`);
  }
}

/** Embeddings of the new tokens, `[V′, D]`. */
function transferred(
  embeddings: Float32Array,
  width: number,
  before: Tokenizer,
  after: Tokenizer,
): Float32Array {
  const pieces = new TextPieces(before);
  const result = new Float32Array(after.vocabSize * width);
  after.tokenBytes.forEach((bytes, id) => {
    const written = bytes.length > 0
      ? pieces.of(bytes)
      : [before.special.eos ?? before.special.bos ?? 0];
    for (const piece of written) {
      for (let d = 0; d < width; d++) {
        result[id * width + d]! += embeddings[piece * width + d]! /
          written.length;
      }
    }
  });
  return result;
}
