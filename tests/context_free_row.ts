import type { RepresentationRow } from "#/shards/mod.ts";

/** Tokens of a block. */
interface Block {
  id: string;
  /** `[T]`. */
  inputIds: Int32Array;
  /** `[T]`. */
  byteEnds: Int32Array;
}

/**
 * What a model would say that knows no context: every candidate is drawn by
 * itself, every logprob has all its digits. No model's rows are harder to
 * compress, as theirs resemble each other.
 *
 * @param block The tokens.
 * @param draw Draws a candidate.
 * @param random Draws a number from 0 to 1.
 * @param topK K.
 * @returns The row.
 */
export function contextFreeRow(
  { id, inputIds, byteEnds }: Block,
  draw: () => number,
  random: () => number,
  topK = 10,
): RepresentationRow {
  const { length } = inputIds;
  const topkIds = new Int32Array(length * topK);
  const topkLogprobs = new Float32Array(length * topK);
  const labelLogprobs = new Float32Array(length);
  const exponential = () => -Math.log(1 - random());
  for (let t = 0; t < length; t++) {
    const ids = new Set<number>();
    while (ids.size < topK) ids.add(draw());
    topkIds.set([...ids], t * topK);
    let logprob = 0;
    for (let k = 0; k < topK; k++) {
      topkLogprobs[t * topK + k] = logprob -= exponential() / (k + 1);
    }
    labelLogprobs[t] = -3 * exponential();
  }
  labelLogprobs[length - 1] = NaN;
  return {
    id,
    textHash: id.padEnd(64, "0"),
    inputIds,
    byteEnds,
    topK,
    topkIds,
    topkLogprobs,
    labelLogprobs,
    bitsPerByte: 1,
  };
}
