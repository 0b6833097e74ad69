import { crossEntropyCpu } from "#/kernels/losses/cross_entropy/cross_entropy_cpu.ts";
import {
  checkLossRows,
  labelsOnly,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";

/**
 * Compute the binarized divergence of chunk likelihoods, Approximate Likelihood
 * Matching's, in f64: the reference for the kernel.
 *
 * A chunk is the labels of some rows that follow each other, and the bytes that
 * the teacher spells in tokens of its own: it begins where `chunkLogprobs` has the
 * teacher's logprob −a of it, and ends before the next one or where a row has no
 * label. With b = −Σ log q of the labels, P = e^(−a / T) and Q = e^(−b / T),
 *
 * D = P log(P / Q) + (1 − P) log((1 − P) / (1 − Q)),
 *
 * which stands at the chunk's first row and takes its weight. T divides
 * logprobs of chunks, not logits; published runs have T = 100. D falls as 1 / T, so
 * that `distance` is T · D, not T² · D: as T → ∞ it is a log(a / b) − a + b, of the
 * code lengths. Top-k and residual play no part.
 *
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}; the temperature counts.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other, or `chunkLogprobs` is
 * absent.
 * @see Minixhofer et al. 2025, {@link https://arxiv.org/abs/2503.20083}.
 */
export function almCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions = {},
): LossOutput<Float64Array> {
  checkLossRows(rows, options);
  const { crossEntropy } = crossEntropyCpu(labelsOnly(rows));
  const { distance, labelWeight } = matchChunks(rows, crossEntropy, options);
  const { dlogits } = crossEntropyCpu({ ...labelsOnly(rows), labelWeight });
  return { crossEntropy, distance, dlogits };
}

/** In nats; shorter chunks count as so long, since f32 knows a sure label no better. */
const LEAST_LENGTH = 1e-4;

/**
 * Compare the likelihoods of chunks.
 *
 * @param rows Labels, weights and the teacher's logprobs of chunks.
 * @param crossEntropy −log q of every label, `[N]`.
 * @param options T counts.
 * @returns T · D at each chunk's first row, `[N]`; and the labels' weights which
 * make their cross-entropy's gradient that of the whole loss, `[N]`.
 * @throws {RangeError} If `chunkLogprobs` is absent.
 */
export function matchChunks(
  rows: LossRows<unknown>,
  crossEntropy: ArrayLike<number>,
  { temperature = 1 }: LossOptions,
): {
  distance: Float64Array<ArrayBuffer>;
  labelWeight: Float32Array<ArrayBuffer>;
} {
  const { labels, chunkLogprobs, fusedWeight } = rows;
  if (chunkLogprobs?.length !== labels.length) {
    throw new RangeError(
      `Cannot compute alm: chunkLogprobs has ${chunkLogprobs?.length ?? 0} ` +
        `entries, expected one for each of ${labels.length} rows`,
    );
  }
  const distance = new Float64Array(labels.length);
  const labelWeight = rows.labelWeight.slice();
  for (let first = 0; first < labels.length; first++) {
    if (Number.isNaN(chunkLogprobs[first]) || labels[first]! < 0) continue;
    let length = 0;
    let codeLength = 0;
    for (let row = first; row < labels.length; row++) {
      const isNext = row > first && !Number.isNaN(chunkLogprobs[row]);
      if (isNext || labels[row]! < 0) break;
      codeLength += crossEntropy[row]!;
      length++;
    }
    const [a, b] = [-chunkLogprobs[first]!, codeLength].map((length) =>
      Math.max(length, LEAST_LENGTH) / temperature
    ) as [number, number];
    distance[first] = temperature * binaryKl(a, b);
    // By the model's code length T b: (P − Q) / (1 − Q).
    const pull = codeLength < LEAST_LENGTH
      ? 0
      : (complement(b) - complement(a)) / complement(b);
    for (let row = first; row < first + length; row++) {
      labelWeight[row]! += fusedWeight[first]! * pull;
    }
  }
  return { distance, labelWeight };
}

/** The divergence of two events with probabilities e^(−a) and e^(−b). */
function binaryKl(a: number, b: number): number {
  const [teacher, model] = [complement(a), complement(b)];
  return (1 - teacher) * (b - a) + teacher * Math.log(teacher / model);
}

/** 1 − e^(−x). */
function complement(x: number): number {
  return -Math.expm1(-x);
}
