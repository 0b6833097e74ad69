import type { Tokenizer } from "#/tokenizers/mod.ts";

/**
 * Tell which of a model's ids are tokens. A vocabulary is often padded to a
 * round size, and some have holes: such ids have logits, but stand for nothing.
 *
 * @param tokenizer The model's tokenizer.
 * @param vocabSize Width of the model's logits.
 * @returns 1 for a token, 0 for padding and holes, `[vocabSize]`.
 */
export function realTokens(
  tokenizer: Tokenizer,
  vocabSize: number,
): Uint8Array {
  const real = new Uint8Array(vocabSize);
  const size = Math.min(vocabSize, tokenizer.vocabSize);
  for (let id = 0; id < size; id++) real[id] = tokenizer.tokens[id] ? 1 : 0;
  return real;
}
