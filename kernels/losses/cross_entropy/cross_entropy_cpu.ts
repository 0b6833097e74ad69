import type {
  LossOptions,
  LossOutput,
  LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLossCpu } from "#/kernels/losses/outcomes_cpu.ts";

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
  return outcomeLossCpu(rows, options, {
    value: (p, logQ) => p === 0 ? 0 : -p * logQ,
    pull: (p) => -p,
  });
}
