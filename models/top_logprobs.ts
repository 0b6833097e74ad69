import type { TopLogprobs } from "./scorer.ts";

/** The shape of a batch of logits, and how many are wanted. */
export interface TopShape {
  /** B. */
  batch: number;
  /** T. */
  length: number;
  /** V. */
  vocabSize: number;
  /** K, at most V. */
  topK: number;
}

/**
 * The K largest logprobs of every row of logits, and those of its label. Sums
 * are in f64. Of equal logits the smallest id comes first; a row with NaN gives
 * NaN.
 *
 * @param logits `[B, T, V]`.
 * @param inputIds `[B, T]`.
 * @param shape See {@linkcode TopShape}.
 * @returns Tokens and logprobs.
 * @throws {RangeError} If K is not within 1 to V.
 */
export function topLogprobsOf(
  logits: Float32Array,
  inputIds: Int32Array,
  { batch, length, vocabSize, topK }: TopShape,
): TopLogprobs {
  if (!(topK >= 1 && topK <= vocabSize)) {
    throw new RangeError(
      `Cannot take the top ${topK} of the logits, expected 1 to ${vocabSize}`,
    );
  }
  const rows = batch * length;
  const topkIds = new Int32Array(rows * topK);
  const topkLogprobs = new Float32Array(rows * topK);
  const labelLogprobs = new Float32Array(rows).fill(NaN);
  for (let row = 0; row < rows; row++) {
    const of = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
    const best = topkIds.subarray(row * topK, (row + 1) * topK);
    largest(of, best);
    const logZ = logSumExp(of);
    best.forEach((id, k) => topkLogprobs[row * topK + k] = of[id]! - logZ);
    const isLast = row % length === length - 1;
    if (!isLast) labelLogprobs[row] = of[inputIds[row + 1]!]! - logZ;
  }
  return { topkIds, topkLogprobs, labelLogprobs };
}

/** Fills `best` with the indices of the largest entries, by insertion. */
function largest(row: Float32Array, best: Int32Array): void {
  let found = 0;
  for (let id = 0; id < row.length; id++) {
    const value = row[id]!;
    if (found === best.length && !(value > row[best[found - 1]!]!)) continue;
    let at = found < best.length ? found++ : found - 1;
    for (; at > 0 && value > row[best[at - 1]!]!; at--) {
      best[at] = best[at - 1]!;
    }
    best[at] = id;
  }
}

function logSumExp(row: Float32Array): number {
  let max = -Infinity;
  for (const logit of row) if (!(logit <= max)) max = logit;
  if (!Number.isFinite(max)) return NaN;
  let sum = 0;
  for (const logit of row) sum += Math.exp(logit - max);
  return max + Math.log(sum);
}
