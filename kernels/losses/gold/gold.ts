import {
  checkLossRows,
  type LossOptions,
  type LossOutput,
  type LossRows,
  partition,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLoss } from "#/kernels/losses/outcomes.ts";
import { rankTokens } from "#/kernels/losses/rank_tokens.ts";
import code from "./gold.wgsl" with { type: "text" };

/**
 * Compute GOLD's hybrid of a divergence and of sorted probabilities, and its
 * gradient, on the GPU.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients, equal to {@linkcode goldCpu}'s within rtol 1e-5
 * and an atol of 1e-5 · T².
 * @throws {RangeError} If the arrays do not fit each other,
 * or `matched` is absent.
 * @see Patiño et al. 2025, Unlocking On-Policy Distillation for Any Model Family
 * (GOLD, as in TRL).
 */
export async function gold(
  device: GPUDevice,
  rows: LossRows,
  options: LossOptions = {},
): Promise<LossOutput> {
  checkLossRows(rows, options);
  const { beta = 0.5 } = options;
  const { matched, unmatched } = partition("gold", rows);
  const ranked = await rankTokens(device, rows, options, unmatched);
  return await outcomeLoss(device, ranked, options, {
    label: "gold",
    code,
    constants: { BETA: beta, MATCHED_WEIGHT: matchedShare(matched) },
    bindings: [{ shared: matched }],
  });
}

/**
 * How much the matched tokens count in GOLD: their share of the vocabulary.
 *
 * @param matched Which tokens both vocabularies know, `[V]`.
 * @returns The share; what is compared by rank counts the rest of 1.
 */
export function matchedShare(matched: Uint32Array): number {
  return matched.filter((one) => one !== 0).length / matched.length;
}
