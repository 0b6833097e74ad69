import {
  checkLossRows,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLossCpu } from "#/kernels/losses/outcomes_cpu.ts";
import { rankTokensCpu } from "#/kernels/losses/rank_tokens_cpu.ts";

/**
 * Compute the distance of the sorted probabilities, Universal Logit
 * Distillation's, in f64: the reference for the kernel.
 *
 * D = Σ_i |p_(i) − q_(i)|, each side in falling order, whatever the tokens are:
 * teacher and model need not share a vocabulary. A `bucket` compares the residual
 * with the mass of the model below its K first tokens, `ignored` compares the K
 * first of both sides alone, and `zero` is as published for a teacher of K tokens.
 *
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other.
 * @see Boizard et al. 2024, {@link https://arxiv.org/abs/2402.12030}.
 */
export function uldCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions = {},
): LossOutput<Float64Array> {
  checkLossRows(rows, options);
  return outcomeLossCpu(rankTokensCpu(rows, options), options, {
    value: (p, logQ) => Math.abs(p - Math.exp(logQ)),
    pull: (p, logQ) => Math.exp(logQ) * Math.sign(Math.exp(logQ) - p),
  });
}
