import {
  checkLossRows,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLoss } from "#/kernels/losses/outcomes.ts";
import { rankTokens } from "#/kernels/losses/rank_tokens.ts";
import code from "./uld.wgsl" with { type: "text" };

/**
 * Compute the distance of the sorted probabilities, Universal Logit
 * Distillation's, and its gradient, on the GPU.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients, equal to {@linkcode uldCpu}'s within rtol 1e-5
 * and an atol of 1e-5 · T².
 * @throws {RangeError} If the arrays do not fit each other.
 * @see Boizard et al. 2024, {@link https://arxiv.org/abs/2402.12030}.
 */
export async function uld(
  device: GPUDevice,
  rows: LossRows,
  options: LossOptions = {},
): Promise<LossOutput> {
  checkLossRows(rows, options);
  const ranked = await rankTokens(device, rows, options);
  return await outcomeLoss(device, ranked, options, { label: "uld", code });
}
