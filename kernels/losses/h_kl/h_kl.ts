import {
  checkLossRows,
  type LossOptions,
  type LossOutput,
  type LossRows,
  partition,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLoss } from "#/kernels/losses/outcomes.ts";
import { rankTokens } from "#/kernels/losses/rank_tokens.ts";
import code from "./h_kl.wgsl" with { type: "text" };

/**
 * Compute X-Token's hybrid H-KL and its gradient on the GPU.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients, equal to {@linkcode hKlCpu}'s within rtol 1e-5
 * and an atol of 1e-5 · T².
 * @throws {RangeError} If the arrays do not fit each other,
 * or `matched` is absent.
 * @see Turuvekere Sreenivas et al. 2026, {@link https://arxiv.org/abs/2605.21699},
 * H-KL.
 */
export async function hKl(
  device: GPUDevice,
  rows: LossRows,
  options: LossOptions = {},
): Promise<LossOutput> {
  checkLossRows(rows, options);
  const { matched, unmatched } = partition("h-kl", rows);
  const ranked = await rankTokens(device, rows, options, unmatched);
  return await outcomeLoss(device, ranked, options, {
    label: "h_kl",
    code,
    bindings: [{ shared: matched }],
  });
}
