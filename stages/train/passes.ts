import { requestDevice } from "#/kernels/device.ts";
import { losses, type LossName } from "#/kernels/losses/mod.ts";
import {
  type BlockwiseOptions,
  type BlockwiseTraining,
  openBlockwise,
  trainingModel,
} from "#/models/mod.ts";
import {
  createSession,
  type Session,
  type SessionOptions,
  type Tensor,
} from "#/onnx/mod.ts";
import type { Batch } from "#/stages/train/batches.ts";
import {
  type Arrays,
  type FeedOptions,
  fusedFeeds,
  gradientFetches,
  labelFeeds,
  lossRows,
  tokenFeeds,
  weightFeeds,
} from "#/stages/train/feeds.ts";

/** How a {@linkcode Pass} computes. */
export interface PassOptions extends FeedOptions {
  /** The distance to the fused distribution. */
  loss: LossName;
  /** Go block by block and recompute what is inside one; with the graph only. */
  recompute?: boolean;
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
  const { topK, recompute } = options;
  const open = recompute ? openBlockwise : openWhole;
  const graph = await open(config, weights, graphOptions(options));
  return {
    weightNames: graph.weightNames,
    async run(batch, weights, gradients) {
      const outputs = await graph.run({
        ...weightFeeds(weights),
        ...tokenFeeds(batch),
        ...labelFeeds(batch),
        ...topK > 0 && fusedFeeds(batch, options),
      }, gradientFetches(gradients));
      return {
        crossEntropy: Number(outputs.cross_entropy!.data[0]),
        distance: Number(outputs.distance?.data[0] ?? 0),
      };
    },
    [Symbol.asyncDispose]: () => graph.close(),
  };
}

/** As {@linkcode openBlockwise}, in one piece. */
async function openWhole(
  config: Record<string, unknown>,
  weights: Arrays,
  options: BlockwiseOptions,
): Promise<Pick<BlockwiseTraining, "weightNames" | "run" | "close">> {
  const { bytes, weightNames } = trainingModel(config, weights, options);
  const session = await createSession(bytes, options);
  return {
    weightNames,
    run: (feeds, fetches) =>
      session.run(feeds, {
        ...fetches,
        cross_entropy: scalar(),
        ...options.distillation && { distance: scalar() },
      }),
    close: () => session.close(),
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

function graphOptions(options: PassOptions): BlockwiseOptions {
  const { topK, loss, temperature } = options;
  return {
    ...sessionOptions(options),
    ...topK > 0 && { distillation: { topK, loss, temperature } },
  };
}

function sessionOptions(
  { threads }: Pick<PassOptions, "threads">,
): SessionOptions {
  return { device: "cpu", ...threads && { threads } };
}

function scalar(): Tensor {
  return { type: "float32", dims: [], data: new Float32Array(1) };
}

function dot(weights: Float32Array, values: Float32Array): number {
  let sum = 0;
  // A value without weight may be anything, NaN too.
  weights.forEach((weight, i) => {
    if (weight !== 0) sum += weight * values[i]!;
  });
  return sum;
}
