import {
  type KernelLogits,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLoss } from "#/kernels/losses/outcomes.ts";
import code from "./kl.wgsl" with { type: "text" };

/**
 * Compute the Kullback-Leibler divergence from model to teacher, and its
 * gradient, on the GPU.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}.
 * @returns Values, and gradients where the logits are, equal to {@linkcode klCpu}'s within rtol
 * 1e-5 and an atol of 1e-6 · T².
 * @throws {RangeError} If the arrays do not fit each other.
 */
export async function kl<Logits extends KernelLogits>(
  device: GPUDevice,
  rows: LossRows<Logits>,
  options: LossOptions = {},
): Promise<LossOutput<Float32Array, Logits>> {
  return await outcomeLoss(device, rows, options, {
    label: "kl",
    code,
  });
}
