import {
  type KernelLogits,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { outcomeLoss } from "#/kernels/losses/outcomes.ts";
import code from "./generalized_js.wgsl" with { type: "text" };

/**
 * Compute the generalized Jensen-Shannon divergence of teacher and model, and
 * its gradient, on the GPU.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}.
 * @returns Values, and gradients where the logits are, equal to {@linkcode generalizedJsCpu}'s within rtol
 * 1e-5 and an atol of 1e-5 · T².
 * @throws {RangeError} If the arrays do not fit each other.
 * @see Agarwal et al. 2024, {@link https://arxiv.org/abs/2306.13649}, §2.
 */
export async function generalizedJs<Logits extends KernelLogits>(
  device: GPUDevice,
  rows: LossRows<Logits>,
  options: LossOptions = {},
): Promise<LossOutput<Float32Array, Logits>> {
  const { beta = 0.5 } = options;
  return await outcomeLoss(device, rows, options, {
    label: "generalized_js",
    code,
    constants: { BETA: beta },
  });
}
