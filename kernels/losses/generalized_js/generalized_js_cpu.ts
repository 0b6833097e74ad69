import type {
  LossOptions,
  LossOutput,
  LossRows,
} from "#/kernels/losses/loss_rows.ts";
import {
  outcomeLossCpu,
  type OutcomeTerm,
} from "#/kernels/losses/outcomes_cpu.ts";

/**
 * Compute the generalized Jensen-Shannon divergence of teacher and model in f64:
 * the reference for the kernel.
 *
 * D = β KL(p ‖ m) + (1 − β) KL(q ‖ m) with m = β p + (1 − β) q. It is bounded,
 * and β = 1/2 is the symmetric one. D / β tends to KL(p ‖ q) as β → 0, and
 * D / (1 − β) to the reverse as β → 1.
 *
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other.
 * @see Agarwal et al. 2024, {@link https://arxiv.org/abs/2306.13649}, §2.
 */
export function generalizedJsCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions = {},
): LossOutput<Float64Array> {
  const { beta = 0.5 } = options;
  return outcomeLossCpu(rows, options, generalizedJsTerm(beta));
}

/**
 * The generalized Jensen-Shannon divergence of one outcome. It is never negative,
 * so that a part of the outcomes can be compared by it, too.
 *
 * @param beta β.
 * @returns Value and pull.
 */
export function generalizedJsTerm(beta: number): OutcomeTerm {
  const logMixture = (p: number, logQ: number) =>
    Math.log(beta * p + (1 - beta) * Math.exp(logQ));
  const ofModel = (p: number, logQ: number) => {
    const q = Math.exp(logQ);
    return q === 0 ? 0 : (1 - beta) * q * (logQ - logMixture(p, logQ));
  };
  return {
    value: (p, logQ) =>
      ofModel(p, logQ) +
      (p === 0 ? 0 : beta * p * (Math.log(p) - logMixture(p, logQ))),
    pull: ofModel,
  };
}
