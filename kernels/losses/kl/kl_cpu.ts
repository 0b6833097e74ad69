import { crossEntropyCpu } from "#/kernels/losses/cross_entropy/cross_entropy_cpu.ts";
import { teacherEntropy } from "#/kernels/losses/kl/kl.ts";
import type {
  LossOptions,
  LossOutput,
  LossRows,
} from "#/kernels/losses/loss_rows.ts";

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
  const output = crossEntropyCpu(rows, options);
  const entropy = teacherEntropy(rows, options);
  return {
    ...output,
    distance: output.distance.map((value, row) => value - entropy[row]!),
  };
}
