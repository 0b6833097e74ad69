import type {
  LossOptions,
  LossOutput,
  LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLossCpu } from "#/kernels/losses/outcomes_cpu.ts";

/**
 * Compute the total variation between teacher and model in f64: the reference
 * for the kernel.
 *
 * D = ½ Σ |p − q| + ½ |r − q_tail|, between 0 and 1. It has a kink where q equals
 * p: the gradient there is 0, and jumps beside it.
 *
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other.
 */
export function totalVariationCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions = {},
): LossOutput<Float64Array> {
  return outcomeLossCpu(rows, options, {
    value: (p, logQ) => Math.abs(p - Math.exp(logQ)) / 2,
    pull: (p, logQ) => Math.exp(logQ) * Math.sign(Math.exp(logQ) - p) / 2,
  });
}
