import { type Binding, run } from "#/kernels/device.ts";
import { DeviceArray } from "#/kernels/device_array.ts";
import {
  checkLossRows,
  interleave,
  type KernelLogits,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { prepareTeacher } from "#/kernels/losses/prepare_teacher.ts";
import { residuals } from "#/kernels/losses/residuals.ts";
import { rowThreads } from "#/kernels/losses/row_threads.ts";
import inFours from "./logits_in_fours.wgsl" with { type: "text" };
import oneByOne from "./logits_one_by_one.wgsl" with { type: "text" };
import shared from "./outcomes.wgsl" with { type: "text" };

/** What one loss adds to the shader that all of them share. */
export interface OutcomeShader {
  /** Names the loss in errors. */
  label: string;
  /** WGSL of `fn term(v: u32, p: f32, log_q: f32) -> vec2<f32>`. */
  code: string;
  /** Values of the `override` constants that `code` declares. */
  constants?: Record<string, number>;
  /** Buffers that `code` declares, at bindings from 8 on. */
  bindings?: readonly Binding[];
}

/**
 * Run a loss that is a sum over outcomes, Σ d(p, q), on the GPU.
 *
 * An outcome is a token, or the whole tail of a teacher. The teacher is never
 * written out over the vocabulary. The gradient stays where the logits are: on the
 * device, to be disposed of by the caller, or in memory.
 *
 * @param device Where to run.
 * @param rows The rows; any number, cut to the device's limits.
 * @param options See {@linkcode LossOptions}.
 * @param shader The loss.
 * @returns Values and gradients.
 * @throws {RangeError} If the arrays do not fit each other.
 */
export async function outcomeLoss<Logits extends KernelLogits>(
  device: GPUDevice,
  rows: LossRows<Logits>,
  options: LossOptions,
  { label, code, constants, bindings = [] }: OutcomeShader,
): Promise<LossOutput<Float32Array, Logits>> {
  checkLossRows(rows, options);
  const { logits, labels, vocabSize } = rows;
  const { temperature = 1, residual = "bucket" } = options;
  const items = labels.length;
  const resident = logits instanceof DeviceArray
    ? new DeviceArray(device, logits.length)
    : undefined;
  const outputs = run(device, {
    label,
    code: (vocabSize % 4 === 0 ? inFours : oneByOne) + shared + code,
    constants: {
      TEMPERATURE: temperature,
      RESIDUAL: residuals[residual].outcomes,
      WORKGROUP: rowThreads(device),
      ...constants,
    },
    bindings: [
      logits,
      labels,
      interleave(rows.labelWeight, rows.fusedWeight),
      ...teacherBindings(rows, options),
      { length: items * 2, whole: true },
      resident ? { write: resident } : { length: logits.length, whole: true },
      ...bindings,
    ],
    items,
  });
  const [values, dlogits] = await outputs.catch((error) => {
    resident?.[Symbol.dispose]();
    throw error;
  });
  return {
    crossEntropy: values!.filter((_, i) => i % 2 === 0),
    distance: values!.filter((_, i) => i % 2 === 1),
    dlogits: (resident ?? dlogits) as Logits,
  };
}

/** Ids, ascending, probabilities and residuals; one padding token where K is 0. */
function teacherBindings(rows: LossRows<unknown>, options: LossOptions) {
  const { fusedProbs, fusedResidual } = prepareTeacher(rows, options);
  const items = rows.labels.length;
  if (rows.topK > 0) {
    return [...sortById(rows.fusedIds, fusedProbs, rows.topK), fusedResidual];
  }
  return [
    new Int32Array(items).fill(-1),
    new Float32Array(items),
    fusedResidual,
  ];
}

/** The tokens of every row in the order of their ids, padding first. */
function sortById(
  fusedIds: Int32Array<ArrayBuffer>,
  fusedProbs: Float32Array<ArrayBuffer>,
  topK: number,
) {
  const [ids, probs] = [fusedIds.slice(), fusedProbs.slice()];
  for (let at = 0; at < ids.length; at++) {
    const [id, p] = [ids[at]!, probs[at]!];
    const first = at - at % topK;
    let to = at;
    for (; to > first && ids[to - 1]! > id; to--) {
      ids[to] = ids[to - 1]!;
      probs[to] = probs[to - 1]!;
    }
    ids[to] = id;
    probs[to] = p;
  }
  return [ids, probs] as const;
}
