import {
  checkLossRows,
  type LossOptions,
  type LossOutput,
  type LossRows,
  partition,
} from "#/kernels/losses/loss_rows.ts";
import { generalizedJsTerm } from "#/kernels/losses/generalized_js/generalized_js_cpu.ts";
import { matchedShare } from "#/kernels/losses/gold/gold.ts";
import {
  outcomeLossCpu,
  type OutcomeTerm,
} from "#/kernels/losses/outcomes_cpu.ts";
import { rankTokensCpu } from "#/kernels/losses/rank_tokens_cpu.ts";

/**
 * Compute GOLD's hybrid of a divergence and of sorted probabilities in f64: the
 * reference for the kernel.
 *
 * D = w JS_β(p, q over tokens that both vocabularies know) + (1 − w) Σ_i |p_(i) −
 * q_(i)| over the others, each side in falling order; w is the known tokens' share
 * of the vocabulary. Both are parts of distributions over all tokens. The tail, as
 * a `bucket`, counts as known.
 *
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other,
 * or `matched` is absent.
 * @see Patiño et al. 2025, Unlocking On-Policy Distillation for Any Model Family
 * (GOLD, as in TRL).
 */
export function goldCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions = {},
): LossOutput<Float64Array> {
  checkLossRows(rows, options);
  const { beta = 0.5 } = options;
  const { matched, unmatched } = partition("gold", rows);
  const share = matchedShare(matched);
  const weigh =
    (term: OutcomeTerm["pull"], rest: OutcomeTerm["pull"]) =>
    (p: number, logQ: number, token: number) =>
      token >= 0 && matched[token] === 0
        ? (1 - share) * rest(p, logQ, token)
        : share * term(p, logQ, token);
  const js = generalizedJsTerm(beta);
  return outcomeLossCpu(rankTokensCpu(rows, options, unmatched), options, {
    value: weigh(js.value, (p, logQ) => Math.abs(p - Math.exp(logQ))),
    pull: weigh(
      js.pull,
      (p, logQ) => Math.exp(logQ) * Math.sign(Math.exp(logQ) - p),
    ),
  });
}
