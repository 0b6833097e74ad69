import { matchChunks } from "#/kernels/losses/alm/alm_cpu.ts";
import { crossEntropy } from "#/kernels/losses/cross_entropy/cross_entropy.ts";
import {
  checkLossRows,
  labelsOnly,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";

/**
 * Compute the binarized divergence of chunk likelihoods, Approximate Likelihood
 * Matching's, and its gradient, on the GPU.
 *
 * The loss knows the logits by the labels' cross-entropy alone: that kernel runs
 * twice, for the values, and for their gradient once the chunks have weighed it.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}; the temperature counts.
 * @returns Values and gradients, equal to {@linkcode almCpu}'s within rtol 1e-3, as
 * f32 loses what a sure label lacks of 1, and an atol of 1e-5 · T.
 * @throws {RangeError} If the arrays do not fit each other, or `chunkLogprobs` is
 * absent.
 * @see Minixhofer et al. 2025, {@link https://arxiv.org/abs/2503.20083}.
 */
export async function alm(
  device: GPUDevice,
  rows: LossRows,
  options: LossOptions = {},
): Promise<LossOutput> {
  checkLossRows(rows, options);
  const values = await crossEntropy(device, labelsOnly(rows));
  const chunks = matchChunks(rows, values.crossEntropy, options);
  const { labelWeight } = chunks;
  const { dlogits } = await crossEntropy(device, {
    ...labelsOnly(rows),
    labelWeight,
  });
  return {
    crossEntropy: values.crossEntropy,
    distance: Float32Array.from(chunks.distance),
    dlogits,
  };
}
