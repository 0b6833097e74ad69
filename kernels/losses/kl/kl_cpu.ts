import type {
  LossOptions,
  LossOutput,
  LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLossCpu } from "#/kernels/losses/outcomes_cpu.ts";

/**
 * Compute the Kullback-Leibler divergence from model to teacher in f64: the
 * reference for the kernel.
 *
 * D = Σ p log(p / q) + r log(r / q_tail): never negative, and zero where the
 * model equals the teacher.
 *
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other.
 */
export function klCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions = {},
): LossOutput<Float64Array> {
  return outcomeLossCpu(rows, options, {
    value: (p, logQ) => p === 0 ? 0 : p * (Math.log(p) - logQ),
    pull: (p) => -p,
  });
}
