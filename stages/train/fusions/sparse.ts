import type { ShareModels } from "#/stages/train/reference/published_shares.ts";

/** What one teacher says at one row. */
export interface TeacherRow {
  /** Its most likely tokens, `[K]`; padding is negative. */
  ids: Int32Array;
  /** Their logprobs over the whole vocabulary, `[K]`; padding is −∞. */
  logprobs: Float32Array;
  /** How much of the pair there is, above 0. */
  weight: number;
  /** Bits per byte of the document under this teacher. */
  bitsPerByte: number;
  /**
   * Bits of the text from the last row where all teachers have a pair to the
   * next one, per token of the target; absent where there is no such row.
   */
  spanBits?: number;
}

/** A distribution over a vocabulary: some tokens, and the rest in one bucket. */
export interface SparseDistribution {
  /** Distinct tokens. */
  ids: readonly number[];
  /** Their probabilities. */
  probs: readonly number[];
  /** The probability of all other tokens together. */
  residual: number;
}

/** The one distribution a row learns from. */
export interface FusedRow extends SparseDistribution {
  /** How much the row learns from it. */
  weight: number;
}

/** What a fusion knows besides the teachers. */
export interface FusionContext {
  /** Tokens of the vocabulary. */
  vocabSize: number;
  /** The token that follows. */
  label: number;
  /** Teachers that take part, here or elsewhere. */
  teachers: number;
  /** θ: the difference in bits that makes one teacher e times heavier. */
  temperature: number;
}

/** A way to make one distribution of several. */
export interface Fusion {
  /** Whether it looks at `spanBits`. */
  spans?: boolean;
  /** How it weighs models where it is to do so as published. */
  published?: ShareModels;
  /**
   * How many tokens a fused row has at most.
   *
   * @param topKs K of every teacher.
   * @returns The fused K.
   */
  topK(topKs: readonly number[]): number;
  /**
   * Fuse one row.
   *
   * @param teachers The teachers that have a pair at this row, at least one.
   * @param context What else there is to know.
   * @returns The fused distribution, whose mass is 1. It does not depend on the
   * teachers' order.
   */
  fuse(teachers: readonly TeacherRow[], context: FusionContext): FusedRow;
}

/**
 * Read a teacher's row as probabilities: the residual is what the stored top-k
 * leaves of 1, and where rounding makes them exceed 1 they are scaled to it.
 *
 * @param row The row as stored.
 * @returns Tokens without padding or zeros, probabilities and residual, of mass 1.
 */
export function distributionOf(
  { ids, logprobs }: Pick<TeacherRow, "ids" | "logprobs">,
): SparseDistribution {
  const known: number[] = [];
  const probs: number[] = [];
  let mass = 0;
  for (let k = 0; k < ids.length; k++) {
    const p = Math.exp(logprobs[k]!);
    if (ids[k]! < 0 || p === 0) continue;
    known.push(ids[k]!);
    probs.push(p);
    mass += p;
  }
  if (mass <= 1) return { ids: known, probs, residual: 1 - mass };
  return { ids: known, probs: probs.map((p) => p / mass), residual: 0 };
}

/**
 * The probability of a token; one that is not listed has an even share of the
 * residual.
 *
 * @param distribution The distribution.
 * @param id The token.
 * @param vocabSize Tokens of the vocabulary.
 * @returns Its probability.
 */
export function probabilityOf(
  { ids, probs, residual }: SparseDistribution,
  id: number,
  vocabSize: number,
): number {
  const at = ids.indexOf(id);
  if (at >= 0) return probs[at]!;
  return residual / Math.max(1, vocabSize - ids.length);
}
