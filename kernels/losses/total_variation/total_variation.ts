import {
  type KernelLogits,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLoss } from "#/kernels/losses/outcomes.ts";
import code from "./total_variation.wgsl" with { type: "text" };

/**
 * Compute the total variation between teacher and model, and its gradient, on
 * the GPU. Where q equals p to the last bits the gradient's sign is either.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}.
 * @returns Values, and gradients where the logits are, equal to {@linkcode totalVariationCpu}'s within rtol
 * 1e-5 and an atol of 1e-5 · T².
 * @throws {RangeError} If the arrays do not fit each other.
 */
export async function totalVariation<Logits extends KernelLogits>(
  device: GPUDevice,
  rows: LossRows<Logits>,
  options: LossOptions = {},
): Promise<LossOutput<Float32Array, Logits>> {
  return await outcomeLoss(device, rows, options, {
    label: "total_variation",
    code,
  });
}
