import {
  type KernelLogits,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLoss } from "#/kernels/losses/outcomes.ts";
import code from "./cross_entropy.wgsl" with { type: "text" };

/**
 * Compute label and teacher cross-entropy and their gradient on the GPU.
 *
 * The teacher is never written out over the vocabulary: its residual is one
 * bucket by default, compared with the model's mass outside the teacher's top-k.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}.
 * @returns Values, and gradients where the logits are, equal to {@linkcode crossEntropyCpu}'s within rtol
 * 1e-5 and an atol of 1e-6 · T².
 * @throws {RangeError} If the arrays do not fit each other.
 */
export async function crossEntropy<Logits extends KernelLogits>(
  device: GPUDevice,
  rows: LossRows<Logits>,
  options: LossOptions = {},
): Promise<LossOutput<Float32Array, Logits>> {
  return await outcomeLoss(device, rows, options, {
    label: "cross_entropy",
    code,
  });
}
