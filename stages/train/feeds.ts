import {
  type LossRows,
  prepareTeacher,
  type Projection,
  type ResidualName,
} from "#/kernels/losses/mod.ts";
import type { Weight } from "#/models/mod.ts";
import type { Tensor } from "#/onnx/mod.ts";
import type { Batch, FusedBatch } from "#/stages/train/batches.ts";

/** Weights or their gradients by name, in one order. */
export type Arrays = ReadonlyMap<string, Weight>;

/** What the fused rows of a batch depend on besides it. */
export interface FeedOptions {
  /** Top-k of the fused distribution; 0 where rows learn from labels alone. */
  topK: number;
  /** Its temperature. */
  temperature: number;
  /** What becomes of its residual. */
  residual: ResidualName;
  /** Width of the model's logits. */
  vocabSize: number;
  /** Which tokens the sources know, `[V]`, where the loss asks for it. */
  matched?: Uint32Array<ArrayBuffer> | undefined;
  /** How the model's tokens are written in the teacher's vocabulary, likewise. */
  projection?: Projection | undefined;
}

/**
 * The weights as inputs of a graph.
 *
 * @param weights The weights, used in place.
 * @returns Tensors by the weights' names.
 */
export function weightFeeds(weights: Arrays): Record<string, Tensor> {
  return Object.fromEntries(Array.from(weights, ([name, { shape, data }]) => [
    name,
    { type: "float32", dims: shape, data },
  ]));
}

/**
 * Where a graph writes the gradients.
 *
 * @param gradients The arrays.
 * @returns Tensors by the names of the outputs.
 */
export function gradientFetches(gradients: Arrays): Record<string, Tensor> {
  return Object.fromEntries(Array.from(gradients, ([name, { shape, data }]) => [
    `grad.${name}`,
    { type: "float32", dims: shape, data },
  ]));
}

/**
 * What a model reads.
 *
 * @param batch The batch.
 * @returns Its tokens, positions and documents.
 */
export function tokenFeeds(batch: Batch): Record<string, Tensor> {
  const dims = [batch.batch, batch.length];
  return {
    input_ids: int64(batch.inputIds, dims),
    position: int64(batch.position, dims),
    document: int64(batch.document, dims),
  };
}

/**
 * What rows learn from their labels.
 *
 * @param batch The batch.
 * @returns Labels and their weights.
 */
export function labelFeeds(batch: Batch): Record<string, Tensor> {
  const dims = [batch.batch, batch.length];
  return {
    labels: int64(batch.labels, dims),
    ce_weight: { type: "float32", dims, data: batch.labelWeight },
  };
}

/**
 * What rows learn from fused distributions.
 *
 * @param batch A batch with teachers.
 * @param options See {@linkcode FeedOptions}.
 * @returns The distributions, tempered, and their weights.
 */
export function fusedFeeds(
  batch: Batch,
  options: FeedOptions,
): Record<string, Tensor> {
  const { topK, ids, weight } = batch.fused!;
  const dims = [batch.batch, batch.length];
  const { fusedProbs, fusedResidual } = prepareTeacher(
    teacherOf(batch.fused!, options.vocabSize),
    options,
  );
  return {
    fused_ids: int64(ids.map((id) => Math.max(0, id)), [...dims, topK]),
    fused_probs: {
      type: "float32",
      dims: [...dims, topK],
      data: fusedProbs,
    },
    fused_residual: {
      type: "float32",
      dims,
      data: fusedResidual,
    },
    fused_weight: { type: "float32", dims, data: weight },
  };
}

/**
 * The batch as the kernels of the losses take it.
 *
 * @param batch The batch; without teachers where `topK` is 0.
 * @param logits The model's logits, `[B, T, V]`.
 * @param options See {@linkcode FeedOptions}.
 * @returns Logits, labels and fused distributions.
 */
export function lossRows(
  batch: Batch,
  logits: Float32Array,
  options: FeedOptions,
): LossRows {
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
    ...options.matched && { matched: options.matched },
    ...options.projection && { projection: options.projection },
    ...batch.chunkLogprobs && { chunkLogprobs: batch.chunkLogprobs },
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
