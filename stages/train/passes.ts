import { requestDevice } from "#/kernels/device.ts";
import { losses, type LossName, temperTeacher } from "#/kernels/losses/mod.ts";
import { trainingModel, type Weight } from "#/models/mod.ts";
import {
  createSession,
  type Session,
  type SessionOptions,
  type Tensor,
} from "#/onnx/mod.ts";
import type { Batch, FusedBatch } from "#/stages/train/batches.ts";

/** Weights or their gradients by name, in one order. */
export type Arrays = ReadonlyMap<string, Weight>;

/** How a {@linkcode Pass} computes. */
export interface PassOptions {
  /** The distance to the fused distribution. */
  loss: LossName;
  /** Its temperature. */
  temperature: number;
  /** Top-k of the fused distribution; 0 where rows learn from labels alone. */
  topK: number;
  /** Width of the model's logits. */
  vocabSize: number;
  /** Threads of onnxruntime. */
  threads?: number | undefined;
}

/** The loss of a batch, in its two parts. */
export interface PassValues {
  /** Σ label weight · cross-entropy. */
  crossEntropy: number;
  /** Σ fused weight · distance, the temperature's square included. */
  distance: number;
}

/** Forward and backward through a model and its loss. */
export interface Pass extends AsyncDisposable {
  /** The weights of the model, of all that a file may hold. */
  readonly weightNames: readonly string[];
  /**
   * Run a batch.
   *
   * @param batch What to learn from.
   * @param weights The weights, used in place.
   * @param gradients Where the gradients are written.
   * @returns The loss.
   */
  run(batch: Batch, weights: Arrays, gradients: Arrays): Promise<PassValues>;
}

/** A home of the loss: the names `--loss-on` takes, but for `auto`. */
export type LossHome = "graph" | "webgpu";

/** Builds a {@linkcode Pass} for a model, by its config and weights' shapes. */
export type OpenPass = (
  config: Record<string, unknown>,
  weights: Arrays,
  options: PassOptions,
) => Promise<Pass>;

/** The homes of the loss by name. */
export const lossHomes: Record<LossHome, OpenPass> = {
  graph: openGraphPass,
  webgpu: openWebgpuPass,
};

/** Loss and gradients as one graph. */
async function openGraphPass(
  config: Record<string, unknown>,
  weights: Arrays,
  options: PassOptions,
): Promise<Pass> {
  const { topK, loss, temperature } = options;
  const { bytes, weightNames } = trainingModel(config, weights, {
    ...topK > 0 && { distillation: { topK, loss, temperature } },
  });
  const session = await createSession(bytes, sessionOptions(options));
  return {
    weightNames,
    async run(batch, weights, gradients) {
      const outputs = await session.run({
        ...weightFeeds(weights),
        ...tokenFeeds(batch),
        ...labelFeeds(batch),
        ...topK > 0 && fusedFeeds(batch, options),
      }, {
        ...gradientFetches(gradients),
        cross_entropy: scalar(),
        ...topK > 0 && { distance: scalar() },
      });
      return {
        crossEntropy: Number(outputs.cross_entropy!.data[0]),
        distance: Number(outputs.distance?.data[0] ?? 0),
      };
    },
    [Symbol.asyncDispose]: () => session.close(),
  };
}

/** The model as two graphs, and between them the kernel. */
async function openWebgpuPass(
  config: Record<string, unknown>,
  weights: Arrays,
  options: PassOptions,
): Promise<Pass> {
  const device = await requestDevice();
  if (!device) {
    throw new Error(
      "Cannot compute the loss on webgpu: no adapter was found (a Vulkan " +
        "driver such as mesa-vulkan-drivers gives one); --loss-on graph needs none",
    );
  }
  const external = (backward: boolean) =>
    trainingModel(config, weights, { loss: "external", backward });
  const forward = await createSession(
    external(false).bytes,
    sessionOptions(options),
  );
  const { bytes, weightNames } = external(true);
  const backward = await createSession(bytes, sessionOptions(options));
  const { kernel } = losses[options.loss];
  return {
    weightNames,
    async run(batch, weights, gradients) {
      const feeds = { ...weightFeeds(weights), ...tokenFeeds(batch) };
      const { logits } = await forward.run(feeds, ["logits"]);
      const rows = lossRows(batch, logits!.data as Float32Array, options);
      const { temperature } = options;
      const { dlogits, ...values } = await kernel(device, rows, {
        temperature,
      });
      const dims = [batch.batch, batch.length, options.vocabSize];
      await backward.run(
        { ...feeds, dlogits: { type: "float32", dims, data: dlogits } },
        gradientFetches(gradients),
      );
      return {
        crossEntropy: dot(rows.labelWeight, values.crossEntropy),
        distance: dot(rows.fusedWeight, values.distance),
      };
    },
    async [Symbol.asyncDispose]() {
      await forward.close();
      await backward.close();
      device.destroy();
    },
  };
}

/** Forward through a model and the label's cross-entropy alone. */
export interface Scoring extends AsyncDisposable {
  /**
   * Run a batch.
   *
   * @param batch The batch; its teachers are left out.
   * @param weights The weights, used in place.
   * @returns Σ label weight · cross-entropy.
   */
  run(batch: Batch, weights: Arrays): Promise<number>;
}

/**
 * Build the graph that scores held-out rows.
 *
 * @param config config.json, verbatim.
 * @param weights Shapes of the weights.
 * @param options `threads` counts.
 * @returns The scoring pass, to be closed by the caller.
 */
export async function openScoring(
  config: Record<string, unknown>,
  weights: Arrays,
  options: Pick<PassOptions, "threads">,
): Promise<Scoring> {
  const { bytes } = trainingModel(config, weights, { backward: false });
  const session: Session = await createSession(bytes, sessionOptions(options));
  return {
    async run(batch, weights) {
      const feeds = {
        ...weightFeeds(weights),
        ...tokenFeeds(batch),
        ...labelFeeds(batch),
      };
      const outputs = await session.run(feeds, { cross_entropy: scalar() });
      return Number(outputs.cross_entropy!.data[0]);
    },
    [Symbol.asyncDispose]: () => session.close(),
  };
}

function sessionOptions(
  { threads }: Pick<PassOptions, "threads">,
): SessionOptions {
  return { device: "cpu", ...threads && { threads } };
}

function weightFeeds(weights: Arrays): Record<string, Tensor> {
  return Object.fromEntries(Array.from(weights, ([name, { shape, data }]) => [
    name,
    { type: "float32", dims: shape, data },
  ]));
}

function gradientFetches(gradients: Arrays): Record<string, Tensor> {
  return Object.fromEntries(Array.from(gradients, ([name, { shape, data }]) => [
    `grad.${name}`,
    { type: "float32", dims: shape, data },
  ]));
}

function scalar(): Tensor {
  return { type: "float32", dims: [], data: new Float32Array(1) };
}

function tokenFeeds(batch: Batch): Record<string, Tensor> {
  const dims = [batch.batch, batch.length];
  return {
    input_ids: int64(batch.inputIds, dims),
    position: int64(batch.position, dims),
    document: int64(batch.document, dims),
  };
}

function labelFeeds(batch: Batch): Record<string, Tensor> {
  const dims = [batch.batch, batch.length];
  return {
    labels: int64(batch.labels, dims),
    ce_weight: { type: "float32", dims, data: batch.labelWeight },
  };
}

function fusedFeeds(
  batch: Batch,
  { vocabSize, temperature }: PassOptions,
): Record<string, Tensor> {
  const { topK, ids, weight } = batch.fused!;
  const dims = [batch.batch, batch.length];
  const tempered = temperTeacher(
    teacherOf(batch.fused!, vocabSize),
    temperature,
  );
  return {
    fused_ids: int64(ids.map((id) => Math.max(0, id)), [...dims, topK]),
    fused_probs: {
      type: "float32",
      dims: [...dims, topK],
      data: tempered.fusedProbs,
    },
    fused_residual: {
      type: "float32",
      dims,
      data: tempered.fusedResidual,
    },
    fused_weight: { type: "float32", dims, data: weight },
  };
}

/** The batch as the kernels take it. */
function lossRows(batch: Batch, logits: Float32Array, options: PassOptions) {
  const rows = batch.batch * batch.length;
  const { topK } = options;
  const fused = topK > 0 ? batch.fused! : {
    topK: 0,
    ids: new Int32Array(0),
    probs: new Float32Array(0),
    residual: new Float32Array(rows),
    weight: new Float32Array(rows),
  };
  return {
    logits: logits as Float32Array<ArrayBuffer>,
    labels: batch.labels,
    labelWeight: batch.labelWeight,
    fusedWeight: fused.weight,
    ...teacherOf(fused, options.vocabSize),
  };
}

function teacherOf(fused: FusedBatch, vocabSize: number) {
  return {
    fusedIds: fused.ids,
    fusedProbs: fused.probs,
    fusedResidual: fused.residual,
    vocabSize,
    topK: fused.topK,
  };
}

/** Integers as int64: two words each, as BigInt would take far longer. */
function int64(values: Int32Array, dims: readonly number[]): Tensor {
  const words = new Int32Array(values.length * 2);
  for (let i = 0; i < values.length; i++) {
    words[2 * i] = values[i]!;
    words[2 * i + 1] = values[i]! >> 31;
  }
  return { type: "int64", dims, data: new BigInt64Array(words.buffer) };
}

function dot(weights: Float32Array, values: Float32Array): number {
  let sum = 0;
  // A value without weight may be anything, NaN too.
  weights.forEach((weight, i) => {
    if (weight !== 0) sum += weight * values[i]!;
  });
  return sum;
}
