import type { LossName } from "#/kernels/losses/mod.ts";
import {
  TiledGraphs,
  trainingModel,
  type TrainingOptions,
  type WeightShapes,
} from "#/models/mod.ts";
import {
  createSession,
  type Session,
  type SessionOptions,
} from "#/onnx/mod.ts";
import type { Batch } from "#/stages/train/batches.ts";
import type { Arrays, FeedOptions } from "#/stages/train/feeds.ts";

/** How a {@linkcode Pass} computes. */
export interface PassOptions extends FeedOptions {
  /** The distance to the fused distribution. */
  loss: LossName;
  /** β of the losses that mix teacher and model. */
  beta: number;
  /**
   * Go block by block and recompute what is inside one; with the graph only. With
   * `auto`, where the graph does not fit into memory. Defaults to false.
   */
  recompute?: boolean | "auto";
  /** Bytes that the process may take, where `recompute` is `auto`; what is free by default. */
  memory?: number | undefined;
  /** Whether batches add up their gradients, in whose place nothing can lie then. */
  accumulates?: boolean;
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
   * @param adds Whether they are added to what is there.
   * @returns The loss.
   */
  run(
    batch: Batch,
    weights: Arrays,
    gradients: Arrays,
    adds?: boolean,
  ): Promise<PassValues>;
}

/** Builds a {@linkcode Pass} for a model, by its config and weights' shapes. */
export type OpenPass = (
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: PassOptions,
) => Promise<Pass>;

/**
 * Where and how the sessions of a pass run.
 *
 * @param options `threads` counts.
 * @returns Options of a session.
 */
export function sessionOptions(
  { threads }: Pick<PassOptions, "threads">,
): SessionOptions {
  return { device: "cpu", ...threads && { threads } };
}

/**
 * Sessions of a model's graph, as sequences of one length or another need it.
 *
 * @param config config.json, verbatim.
 * @param weights Shapes of the weights.
 * @param graph What the graph is to hold.
 * @param options `threads` counts.
 * @returns The sessions, to be closed by the caller.
 */
export function openSessions(
  config: Record<string, unknown>,
  weights: WeightShapes,
  graph: TrainingOptions,
  options: Pick<PassOptions, "threads">,
): TiledGraphs<Session> {
  return new TiledGraphs((tiles) => {
    const { bytes } = trainingModel(config, weights, { ...graph, tiles });
    return createSession(bytes, sessionOptions(options));
  });
}
