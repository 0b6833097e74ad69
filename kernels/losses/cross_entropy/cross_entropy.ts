import { run } from "#/kernels/device.ts";
import {
  checkLossRows,
  type LossOptions,
  type LossOutput,
  type LossRows,
  temperTeacher,
} from "#/kernels/losses/loss_rows.ts";
import code from "./cross_entropy.wgsl" with { type: "text" };

/** Threads a row; a power of two, for the tree reductions. */
const WORKGROUP = 256;

/**
 * Compute label and teacher cross-entropy and their gradient on the GPU.
 *
 * The teacher is never written out over the vocabulary: its residual is one
 * bucket, compared with the model's mass outside the teacher's top-k.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients, equal to {@linkcode crossEntropyCpu}'s within
 * rtol 1e-5 and atol 1e-6.
 * @throws {RangeError} If the arrays do not fit each other.
 */
export async function crossEntropy(
  device: GPUDevice,
  rows: LossRows,
  options: LossOptions = {},
): Promise<LossOutput> {
  checkLossRows(rows, options);
  const { logits, labels, vocabSize, temperature } = {
    temperature: 1,
    ...rows,
    ...options,
  };
  const items = labels.length;
  const [values, dlogits] = await run(device, {
    label: "cross_entropy",
    code,
    constants: {
      V: vocabSize,
      K: Math.max(1, rows.topK),
      TEMPERATURE: temperature,
      WORKGROUP,
    },
    bindings: [
      logits,
      labels,
      interleave(rows.labelWeight, rows.fusedWeight),
      ...teacherBindings(rows, temperature),
      { length: items * 2 },
      { length: logits.length },
    ],
    items,
  });
  return {
    crossEntropy: values!.filter((_, i) => i % 2 === 0),
    distance: values!.filter((_, i) => i % 2 === 1),
    dlogits: dlogits!,
  };
}

/** Ids, probabilities and residuals; one padding token where K is 0. */
function teacherBindings(rows: LossRows, temperature: number) {
  const { fusedProbs, fusedResidual } = temperTeacher(rows, temperature);
  const items = rows.labels.length;
  if (rows.topK > 0) return [rows.fusedIds, fusedProbs, fusedResidual];
  return [
    new Int32Array(items).fill(-1),
    new Float32Array(items),
    fusedResidual,
  ];
}

function interleave(
  first: Float32Array,
  second: Float32Array,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(
    { length: first.length * 2 },
    (_, i) => (i % 2 === 0 ? first : second)[i >> 1]!,
  );
}
