import {
  type KernelLogits,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLoss } from "#/kernels/losses/outcomes.ts";
import code from "./reverse_kl.wgsl" with { type: "text" };

/**
 * Compute the reverse Kullback-Leibler divergence, from teacher to model, and
 * its gradient, on the GPU.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}.
 * @returns Values, and gradients where the logits are, equal to {@linkcode reverseKlCpu}'s within rtol
 * 1e-5 and an atol of 1e-5 · T².
 * @throws {RangeError} If the arrays do not fit each other.
 * @see Agarwal et al. 2024, {@link https://arxiv.org/abs/2306.13649}, who use it for
 * distillation on a student's own text.
 */
export async function reverseKl<Logits extends KernelLogits>(
  device: GPUDevice,
  rows: LossRows<Logits>,
  options: LossOptions = {},
): Promise<LossOutput<Float32Array, Logits>> {
  return await outcomeLoss(device, rows, options, {
    label: "reverse_kl",
    code,
  });
}
