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

/** A way to make one distribution of several. */
export interface Fusion {
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
   * @param vocabSize Tokens of the vocabulary.
   * @returns The fused distribution, whose mass is 1.
   */
  fuse(teachers: readonly TeacherRow[], vocabSize: number): FusedRow;
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
