import type { DeviceArray } from "#/kernels/device_array.ts";
import type { Projection } from "#/kernels/losses/projection.ts";
import type { ResidualName } from "#/kernels/losses/residuals.ts";

/** Logits in memory, or on the device that a loss runs on. */
export type KernelLogits = Float32Array<ArrayBuffer> | DeviceArray;

/**
 * What a row may learn from: N rows over V tokens, each with a label and a
 * sparse teacher of K tokens.
 */
export interface LossRows<Logits = Float32Array<ArrayBuffer>> {
  /** The model's logits, `[N, V]`. */
  logits: Logits;
  /** The token to predict, `[N]`; negative where there is none. */
  labels: Int32Array<ArrayBuffer>;
  /** Factor of the label's cross-entropy in the gradient, `[N]`. */
  labelWeight: Float32Array<ArrayBuffer>;
  /** The teacher's tokens, `[N, K]`, distinct within a row; negative is padding. */
  fusedIds: Int32Array<ArrayBuffer>;
  /** Their probabilities, `[N, K]`. */
  fusedProbs: Float32Array<ArrayBuffer>;
  /** The probability of all other tokens together, `[N]`. */
  fusedResidual: Float32Array<ArrayBuffer>;
  /** Factor of the distance in the gradient, `[N]`; 0 without a teacher. */
  fusedWeight: Float32Array<ArrayBuffer>;
  /** V. */
  vocabSize: number;
  /** K. */
  topK: number;
  /**
   * Which tokens the teacher's own vocabulary knows, `[V]`: nonzero. The hybrid
   * losses compare those token by token, and the others by rank.
   */
  matched?: Uint32Array<ArrayBuffer>;
  /**
   * The teacher's logprob of the bytes that the labels from here on spell, up to
   * the next entry, `[N]`; NaN where no chunk begins. Chunk likelihoods ask for it.
   */
  chunkLogprobs?: Float32Array<ArrayBuffer>;
  /**
   * How the model's tokens are written in the teacher's vocabulary, whose tokens
   * `fusedIds` then are. Losses that project ask for it.
   */
  projection?: Projection;
}

/** How to compare. */
export interface LossOptions {
  /**
   * Divides the logits of both sides before the distance is taken, which is
   * then multiplied by its square. Defaults to 1.
   */
  temperature?: number;
  /** What becomes of the teacher's residual. Defaults to `bucket`. */
  residual?: ResidualName;
  /**
   * β of the losses that mix teacher and model, between 0 and 1: the teacher's
   * part. Defaults to 0.5.
   */
  beta?: number;
}

/** Values and gradients of N rows. */
export interface LossOutput<Values = Float32Array, Gradient = Values> {
  /** −log q of the label at temperature 1, `[N]`; 0 where there is none. */
  crossEntropy: Values;
  /** D · T², `[N]`, whatever its weight. */
  distance: Values;
  /**
   * Gradient of Σ labelWeight · crossEntropy + fusedWeight · distance with
   * respect to the logits, `[N, V]`.
   */
  dlogits: Gradient;
}

/**
 * Which tokens both vocabularies know.
 *
 * @param loss Names the loss in errors.
 * @param rows The rows.
 * @returns `matched`, and which tokens are not, each `[V]`.
 * @throws {RangeError} If the rows do not say so for every token.
 */
export function partition(
  loss: string,
  { matched, vocabSize }: Pick<LossRows, "matched" | "vocabSize">,
): {
  matched: Uint32Array<ArrayBuffer>;
  unmatched: Uint32Array<ArrayBuffer>;
} {
  if (matched?.length !== vocabSize) {
    throw new RangeError(
      `Cannot compute ${loss}: matched has ${matched?.length ?? 0} entries, ` +
        `expected one for each of the ${vocabSize} tokens`,
    );
  }
  return { matched, unmatched: matched.map((one) => one === 0 ? 1 : 0) };
}

/**
 * Rows without their teachers.
 *
 * @param rows The rows.
 * @returns The same logits and labels.
 */
export function labelsOnly<Logits>(rows: LossRows<Logits>): LossRows<Logits> {
  return {
    ...rows,
    fusedIds: new Int32Array(0),
    fusedProbs: new Float32Array(0),
    fusedWeight: new Float32Array(rows.labels.length),
    topK: 0,
  };
}

/**
 * Two values a row, side by side, as the kernels bind them.
 *
 * @param first The first of each pair, `[N]`.
 * @param second The second of each pair, `[N]`.
 * @returns The pairs, `[N, 2]`.
 */
export function interleave(
  first: Float32Array,
  second: Float32Array,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(
    { length: first.length * 2 },
    (_, i) => (i % 2 === 0 ? first : second)[i >> 1]!,
  );
}

/**
 * Check that the arrays of rows fit each other.
 *
 * @param rows The rows.
 * @param options Their options.
 * @throws {RangeError} If an array's length does not fit N, V and K, a token
 * lies outside the vocabulary, the temperature is not positive, or β not between
 * 0 and 1.
 */
export function checkLossRows(
  rows: LossRows<{ readonly length: number }>,
  { temperature = 1, beta = 0.5 }: LossOptions,
): void {
  const { labels, vocabSize, topK } = rows;
  const expected = {
    logits: labels.length * vocabSize,
    labelWeight: labels.length,
    fusedIds: labels.length * topK,
    fusedProbs: labels.length * topK,
    fusedResidual: labels.length,
    fusedWeight: labels.length,
  };
  for (const [name, length] of Object.entries(expected)) {
    const { length: actual } = rows[name as keyof typeof expected];
    if (actual !== length) {
      throw new RangeError(
        `Cannot compute losses: ${name} has ${actual} entries, expected ` +
          `${length} for ${labels.length} rows, ${vocabSize} tokens and top ${topK}`,
      );
    }
  }
  for (const name of ["labels", "fusedIds"] as const) {
    const index = rows[name].findIndex((id) => id >= vocabSize);
    if (index >= 0) {
      throw new RangeError(
        `Cannot compute losses: ${name}[${index}] is ${rows[name][index]}, ` +
          `expected less than the ${vocabSize} tokens of the logits`,
      );
    }
  }
  if (!(temperature > 0)) {
    throw new RangeError(
      `Cannot compute losses: temperature is ${temperature}, expected more than 0`,
    );
  }
  if (!(beta > 0 && beta < 1)) {
    throw new RangeError(
      `Cannot compute losses: beta is ${beta}, expected between 0 and 1`,
    );
  }
}
