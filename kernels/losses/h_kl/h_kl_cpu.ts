import {
  checkLossRows,
  type LossOptions,
  type LossOutput,
  type LossRows,
  partition,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLossCpu } from "#/kernels/losses/outcomes_cpu.ts";
import { rankTokensCpu } from "#/kernels/losses/rank_tokens_cpu.ts";

/**
 * Compute X-Token's hybrid H-KL in f64: the reference for the kernel.
 *
 * D = Σ p log(p / q) over tokens that both vocabularies know + Σ_i |p_(i) − q_(i)|
 * over the others, each side in falling order. The first sum is a part of a
 * divergence, as published: it may be negative, and where any token is unmatched
 * it has a gradient at a model that equals its teacher, which draws mass from the
 * unmatched tokens. The tail, as a `bucket`, counts as known.
 *
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other,
 * or `matched` is absent.
 * @see Turuvekere Sreenivas et al. 2026, {@link https://arxiv.org/abs/2605.21699},
 * H-KL.
 */
export function hKlCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions = {},
): LossOutput<Float64Array> {
  checkLossRows(rows, options);
  const { matched, unmatched } = partition("h-kl", rows);
  const isRanked = (token: number) => token >= 0 && matched[token] === 0;
  return outcomeLossCpu(rankTokensCpu(rows, options, unmatched), options, {
    value(p, logQ, token) {
      if (isRanked(token)) return Math.abs(p - Math.exp(logQ));
      return p === 0 ? 0 : p * (Math.log(p) - logQ);
    },
    pull: (p, logQ, token) =>
      isRanked(token) ? Math.exp(logQ) * Math.sign(Math.exp(logQ) - p) : -p,
  });
}
