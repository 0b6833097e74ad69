import {
  checkLossRows,
  type LossOptions,
  type LossOutput,
  type LossRows,
  temperTeacher,
} from "#/kernels/losses/loss_rows.ts";

/**
 * Compute label and teacher cross-entropy in f64: the reference for the kernel.
 *
 * With q the model at temperature T and the tail all tokens outside the
 * teacher's top-k, D = −Σ p log q − r log q_tail. At temperature T its gradient
 * is (q − p) / T on the top-k and q (1 − r / q_tail) / T elsewhere: zero where
 * the model equals the teacher.
 *
 * @example A model that equals its teacher has nothing to learn from it
 * ```ts
 * import assert from "node:assert/strict";
 * import { crossEntropyCpu } from "#/kernels/losses/cross_entropy/cross_entropy_cpu.ts";
 *
 * const { dlogits } = crossEntropyCpu({
 *   logits: Float32Array.of(0, 0, 0, 0),
 *   labels: Int32Array.of(2),
 *   labelWeight: Float32Array.of(0),
 *   fusedIds: Int32Array.of(3),
 *   fusedProbs: Float32Array.of(0.25),
 *   fusedResidual: Float32Array.of(0.75),
 *   fusedWeight: Float32Array.of(1),
 *   vocabSize: 4,
 *   topK: 1,
 * });
 * assert.ok(dlogits.every((gradient) => Math.abs(gradient) < 1e-12));
 * ```
 *
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other.
 */
export function crossEntropyCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions = {},
): LossOutput<Float64Array> {
  checkLossRows(rows, options);
  const { logits, labels, fusedIds, vocabSize, topK } = rows;
  const { temperature = 1 } = options;
  const { fusedProbs, fusedResidual } = temperTeacher(rows, temperature);
  const output = {
    crossEntropy: new Float64Array(labels.length),
    distance: new Float64Array(labels.length),
    dlogits: new Float64Array(logits.length),
  };

  labels.forEach((label, row) => {
    const z = Float64Array.from(
      { length: vocabSize },
      (_, token) => logits[row * vocabSize + token]!,
    );
    const dz = output.dlogits.subarray(row * vocabSize, (row + 1) * vocabSize);
    if (label >= 0) {
      const logprobs = logSoftmax(z);
      output.crossEntropy[row] = -logprobs[label]!;
      const weight = rows.labelWeight[row]!;
      logprobs.forEach((logprob, token) =>
        dz[token]! += weight * (Math.exp(logprob) - (token === label ? 1 : 0))
      );
    }
    const teacher = new Map<number, number>();
    for (let k = row * topK; k < (row + 1) * topK; k++) {
      if (fusedIds[k]! >= 0) teacher.set(fusedIds[k]!, fusedProbs[k]!);
    }
    output.distance[row] = addDistance(
      dz,
      z.map((logit) => logit / temperature),
      { teacher, residual: fusedResidual[row]!, temperature },
      rows.fusedWeight[row]!,
    );
  });
  return output;
}

/** Adds the distance's gradient to `dz` and returns D · T². */
function addDistance(
  dz: Float64Array,
  z: Float64Array,
  { teacher, residual, temperature }: {
    teacher: ReadonlyMap<number, number>;
    residual: number;
    temperature: number;
  },
  weight: number,
): number {
  const logprobs = logSoftmax(z);
  const inTail = (_: number, token: number) => !teacher.has(token);
  const tailLogprobs = logSoftmax(z.filter(inTail));
  const tailLogprob = logSumExp(logprobs.filter(inTail));
  const hasTail = tailLogprobs.length > 0;

  let mass = hasTail ? residual : 0;
  let distance = hasTail ? -residual * tailLogprob : 0;
  for (const [token, p] of teacher) {
    mass += p;
    distance -= p * logprobs[token]!;
  }
  let tailIndex = 0;
  logprobs.forEach((logprob, token) => {
    const p = teacher.get(token) ??
      residual * Math.exp(tailLogprobs[tailIndex++]!);
    dz[token]! += weight * temperature * (mass * Math.exp(logprob) - p);
  });
  return distance * temperature ** 2;
}

function logSoftmax(z: Float64Array): Float64Array {
  const logZ = logSumExp(z);
  return z.map((logit) => logit - logZ);
}

function logSumExp(z: Float64Array): number {
  const top = z.reduce((a, b) => Math.max(a, b), -Infinity);
  return top +
    Math.log(z.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
}
