import { run } from "#/kernels/device.ts";
import { crossEntropy } from "#/kernels/losses/cross_entropy/cross_entropy.ts";
import { kl } from "#/kernels/losses/kl/kl.ts";
import {
  labelsOnly,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import {
  reachableProjection,
  reachableTeacher,
  type SparseSide,
} from "#/kernels/losses/projection.ts";
import { rowThreads } from "#/kernels/losses/row_threads.ts";
import projectCode from "./project.wgsl" with { type: "text" };
import pullBackCode from "./pull_back.wgsl" with { type: "text" };

/**
 * Compute X-Token's P-KL and its gradient on the GPU.
 *
 * The model is projected onto the teacher's vocabulary, the kernel of KL compares
 * the two there, and its gradient is pulled back to the model's tokens.
 *
 * @param device Where to run.
 * @param rows The rows, with a `projection`; any number, cut to the device's
 * limits.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients, equal to {@linkcode pKlCpu}'s within rtol 1e-5
 * and an atol of 1e-5 · T².
 * @throws {RangeError} If the arrays do not fit each other, or `projection` is
 * absent.
 * @see Turuvekere Sreenivas et al. 2026, {@link https://arxiv.org/abs/2605.21699},
 * P-KL.
 */
export async function pKl(
  device: GPUDevice,
  rows: LossRows,
  options: LossOptions = {},
): Promise<LossOutput> {
  const ofLabels = await crossEntropy(device, labelsOnly(rows), options);
  const { temperature = 1 } = options;
  const projection = reachableProjection(rows);
  const { rows: byToken, columns, reachable } = projection;
  const items = rows.labels.length;
  const distance = new Float32Array(items);
  // Nothing is compared where no token of the model has an image.
  if (reachable === 0) return { ...ofLabels, distance };
  const constants = {
    TEMPERATURE: temperature,
    WORKGROUP: rowThreads(device),
  };
  const [logits] = await run(device, {
    label: "p_kl: project",
    code: projectCode,
    constants,
    bindings: [rows.logits, ...shared(columns), {
      length: items * reachable,
      whole: true,
    }],
    items,
  });
  const teacher = reachableTeacher(rows, options, projection);
  const projected = await kl(device, { ...teacher, logits: logits! }, {
    ...options,
    temperature: 1,
  });
  const [pulled] = await run(device, {
    label: "p_kl: pull back",
    code: pullBackCode,
    constants,
    bindings: [
      rows.logits,
      logits!,
      projected.dlogits as Float32Array<ArrayBuffer>,
      ...shared(byToken),
      { length: rows.logits.length, whole: true },
    ],
    items,
  });
  return {
    crossEntropy: ofLabels.crossEntropy,
    distance: projected.distance.map((d) => d * temperature ** 2),
    dlogits: ofLabels.dlogits.map((d, at) => d + pulled![at]!),
  };
}

function shared({ offsets, ids, logWeights }: SparseSide) {
  return [{ shared: offsets }, { shared: ids }, { shared: logWeights }];
}
