import type {
  LossOptions,
  LossOutput,
  LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLossCpu } from "#/kernels/losses/outcomes_cpu.ts";

/**
 * Compute the reverse Kullback-Leibler divergence, from teacher to model, in
 * f64: the reference for the kernel.
 *
 * D = Σ q log(q / p) + q_tail log(q_tail / r): the model is to put its mass where
 * the teacher has some, and need not cover all of it. A p below 1e-9, as where a
 * teacher's top-k holds all of its mass, counts as 1e-9: D stays finite.
 *
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other.
 * @see Agarwal et al. 2024, {@link https://arxiv.org/abs/2306.13649}.
 */
export function reverseKlCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions = {},
): LossOutput<Float64Array> {
  return outcomeLossCpu(rows, options, {
    value: (p, logQ) => Math.exp(logQ) * logRatio(p, logQ),
    pull: (p, logQ) => Math.exp(logQ) * (logRatio(p, logQ) + 1),
  });
}

const LEAST_PROB = 1e-9;

/** log(q / p). */
function logRatio(p: number, logQ: number): number {
  return logQ - Math.log(Math.max(p, LEAST_PROB));
}
