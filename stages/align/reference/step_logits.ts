import { numpyExp } from "./numpy_exp.ts";
import { numpySum } from "./numpy_sum.ts";

/** What a model says along a text, as the published code stores it. */
export interface StepLogits {
  /** Tokens, without BOS, `[T]`. */
  inputIds: ArrayLike<number>;
  /** Byte offset after each token, `[T]`; read only without the defect `dtw`. */
  byteEnds: Int32Array;
  /** K. */
  topK: number;
  /** Best tokens of every row, best first, padded with −1, `[T, K]`. */
  topkIds: ArrayLike<number>;
  /**
   * Their logits, `[T, K]`. Logprobs will do, as only differences count, and are
   * needed without the defect `renormalized-top-k`.
   */
  topkLogits: ArrayLike<number>;
}

/** A source's row over the target's vocabulary. */
export interface AlignedStep {
  /** What the numbers are: `none` where there is nothing to learn. */
  kind: "logits" | "masses" | "one-hot" | "none";
  /** Different target tokens. */
  ids: number[];
  /** A number each. */
  values: number[];
  /** Sweeps of the transport; 0 where none was. */
  iterations: number;
  /** L1 error of its rows. */
  marginalError: number;
}

/** A token and its logit. */
export interface Candidate {
  /** The token. */
  id: number;
  /** Its logit. */
  logit: number;
}

/**
 * Read a row.
 *
 * @param steps What a model says.
 * @param row Which row.
 * @returns Its candidates, best first, without padding.
 */
export function candidatesAt(
  { topK, topkIds, topkLogits }: StepLogits,
  row: number,
): Candidate[] {
  const candidates: Candidate[] = [];
  for (let k = row * topK; k < (row + 1) * topK; k++) {
    if (topkIds[k]! < 0) continue;
    candidates.push({ id: topkIds[k]!, logit: topkLogits[k]! });
  }
  return candidates;
}

/**
 * Turn logits into probabilities, summed in numpy's order.
 *
 * @param logits Any number of them.
 * @returns Probabilities, summing to 1.
 */
export function softmax(logits: readonly number[]): number[] {
  const most = Math.max(...logits);
  const shares = logits.map((logit) => numpyExp(logit - most));
  const total = numpySum(shares);
  return shares.map((share) => share / total);
}
