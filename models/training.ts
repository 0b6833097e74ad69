import {
  add,
  encodeModel,
  gradients,
  mul,
  peakBytes,
  reshape,
  Tape,
  type Value,
} from "#/onnx/mod.ts";
import { describeModel } from "./architectures.ts";
import { type Distillation, type FusedRows, lossHead } from "./loss_head.ts";
import { tileSizes } from "./tiles.ts";
import { Trace } from "./trace.ts";
import { WeightNames, type WeightShapes } from "./weights.ts";

/** What {@linkcode trainingModel} builds. */
export interface TrainingOptions {
  /** Learn from fused distributions as well; from labels alone by default. */
  distillation?: Distillation;
  /**
   * "graph", the default: the loss is in the graph. "external": the caller has
   * it; the graph gives logits, or takes their gradient.
   */
  loss?: "graph" | "external";
  /** Whether gradients are computed; true by default. */
  backward?: boolean;
  /** Tiles that attention takes queries in, as `tilesFor` says; one by default. */
  tiles?: number;
}

/** A graph that runs a model forward and backward. */
export interface TrainingModel {
  /** An .onnx file, for `createSession`. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Weights that are inputs; the gradient of each is the output `grad.<name>`. */
  weightNames: string[];
  /**
   * Estimates the memory of a run, without inputs and weights, with the gradients.
   *
   * @param batch B.
   * @param length T.
   * @returns Bytes.
   */
  peakBytes: (batch: number, length: number) => number;
  /** The weights that are trained, by name: all that the model has. */
  trainable: ReadonlyMap<string, { shape: readonly number[] }>;
}

/**
 * Build the training graph of a model.
 *
 * Inputs are every weight, f32, under the name it has in the files, and int64
 * `[B, T]`: `input_ids`, `position`, `document` (tokens attend to earlier ones of
 * their own document only; −1 is padding). With the loss in the graph also
 * `labels` (int64, negative where there is none) and `ce_weight` (f32), and with
 * distillation `fused_ids` (int64 `[B, T, K]`, padding has probability 0),
 * `fused_probs` (`[B, T, K]`), `fused_residual` and `fused_weight` (f32 `[B, T]`).
 * The fused distribution comes in tempered. With an external loss, the backward
 * graph takes `dlogits`, f32 `[B, T, V]`.
 *
 * Outputs are `cross_entropy` = Σ ce_weight · CE, `distance` = Σ fused_weight · D ·
 * T², `loss` = their sum and `grad.<weight>`; `logits` `[B, T, V]` where the loss
 * is external and nothing goes backward. B and T may change from run to run.
 * Dropout is not applied, whatever config.json says.
 *
 * @param config config.json, verbatim.
 * @param weights Shapes of the weights in the files.
 * @param options See {@linkcode TrainingOptions}.
 * @returns The graph.
 * @throws {RangeError} If the config is not supported, or the weights do not fit it.
 */
export function trainingModel(
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: TrainingOptions = {},
): TrainingModel {
  const { loss = "graph", backward = true, tiles = 1 } = options;
  const model = describeModel(config);
  const names = new WeightNames(model, weights);
  const tape = new Tape();
  const input = (name: string) => tape.input(name, "int64", ["B", "T"]);
  const sources = new Map<string, Value>();
  const trace = new Trace({
    ids: input("input_ids"),
    positions: input("position"),
    document: input("document"),
    tiles,
    weights(name, shape) {
      const found = names.find(name, shape);
      const value = tape.input(found, "float32", shape);
      sources.set(found, value);
      return value;
    },
  });
  let x = model.embed(trace);
  for (let layer = 0; layer < model.layers; layer++) {
    x = model.block(trace, x, layer);
  }
  const logits = model.logits(trace, x);
  names.checkUnused();

  const shape = ["B", "T", model.vocabSize];
  let dlogits: Value;
  if (loss === "graph") {
    dlogits = recordLoss(tape, logits, options.distillation);
  } else if (backward) {
    dlogits = reshape(tape.input("dlogits", "float32", shape), logits.shape);
  } else {
    tape.output(reshape(logits, shape), "logits");
  }
  if (backward) {
    const seeds = [{ value: logits, gradient: dlogits! }];
    const found = gradients(seeds, [...sources.values()]);
    [...sources.keys()].forEach((name, i) =>
      tape.output(found[i]!, `grad.${name}`)
    );
  }
  return {
    bytes: encodeModel(tape.model()),
    weightNames: [...sources.keys()],
    peakBytes: (batch, length) =>
      peakBytes(tape, {
        B: batch,
        T: length,
        N: batch * length,
        ...tileSizes(length, tiles),
      }),
    trainable: sources as ReadonlyMap<string, { shape: readonly number[] }>,
  };
}

/**
 * Declare the inputs and outputs of the loss.
 *
 * @param tape The graph.
 * @param logits `[N, V]`.
 * @param distillation Learn from fused distributions as well.
 * @returns The gradient of the loss by the logits, `[N, V]`.
 */
export function recordLoss(
  tape: Tape,
  logits: Value,
  distillation?: Distillation,
): Value {
  const rows = (name: string, type: "float32" | "int64") =>
    reshape(tape.input(name, type, ["B", "T"]), ["N"]);
  const label = {
    labels: rows("labels", "int64"),
    weight: rows("ce_weight", "float32"),
  };
  let fused: (FusedRows & Distillation) | undefined;
  if (distillation) {
    const { topK } = distillation;
    const entries = (name: string, type: "float32" | "int64") =>
      reshape(tape.input(name, type, ["B", "T", topK]), ["N", topK]);
    fused = {
      ...distillation,
      ids: entries("fused_ids", "int64"),
      probs: entries("fused_probs", "float32"),
      residual: rows("fused_residual", "float32"),
      weight: rows("fused_weight", "float32"),
    };
  }
  const { crossEntropy, distance, dlogits } = lossHead(logits, label, fused);
  tape.output(crossEntropy, "cross_entropy");
  if (distance) tape.output(distance, "distance");
  const loss = distance ? add(crossEntropy, distance) : mul(crossEntropy, 1);
  tape.output(loss, "loss");
  return dlogits;
}
