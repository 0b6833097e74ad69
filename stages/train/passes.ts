import type { LossName, ResidualName } from "#/kernels/losses/mod.ts";
import { openBlockwise, type WeightShapes } from "#/models/mod.ts";
import type { Batch } from "#/stages/train/batches.ts";
import {
  type Arrays,
  fusedFeeds,
  gradientFetches,
  labelFeeds,
  tokenFeeds,
  weightFeeds,
} from "#/stages/train/feeds.ts";
import {
  type EngineOptions,
  type OpenEngine,
  openFitting,
  openTiled,
  openWhole,
  scalar,
} from "#/stages/train/engines.ts";
import { openCpuPass, openWebgpuPass } from "#/stages/train/external_pass.ts";
import {
  type OpenPass,
  openSessions,
  type Pass,
  type PassOptions,
  sessionOptions,
} from "#/stages/train/pass.ts";

export * from "./pass.ts";

/** A home of the loss: the names `--loss-on` takes, but for `auto`. */
export type LossHome = "graph" | "webgpu" | "cpu";

/** The homes of the loss by name. */
export const lossHomes: Record<LossHome, OpenPass> = {
  graph: openGraphPass,
  webgpu: openWebgpuPass,
  cpu: openCpuPass,
};

/** The losses that the training graph holds. */
type GraphLoss = "cross-entropy" | "kl";

/**
 * Whether the training graph can compute a distance.
 *
 * @param distance The loss, and what becomes of the residual.
 * @returns True if the loss can be one graph with the model.
 */
export function isInGraph<
  Distance extends {
    loss: LossName;
    residual: ResidualName;
  },
>(distance: Distance): distance is Distance & { loss: GraphLoss } {
  const { loss, residual } = distance;
  return (loss === "cross-entropy" || loss === "kl") &&
    (residual === "bucket" || residual === "zero");
}

/** How the graph is run, by whether a block is computed again. */
const engines = {
  true: openBlockwise,
  false: openWhole,
  auto: openFitting,
} satisfies Record<string, OpenEngine>;

/** Loss and gradients in the graph. */
async function openGraphPass(
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: PassOptions,
): Promise<Pass> {
  const { topK, recompute = false } = options;
  const open = engines[`${recompute}`];
  const graph = await openTiled(open, config, weights, graphOptions(options));
  return {
    weightNames: graph.weightNames,
    async run(batch, weights, gradients, adds) {
      const outputs = await graph.run(
        {
          ...weightFeeds(weights),
          ...tokenFeeds(batch),
          ...labelFeeds(batch),
          ...topK > 0 && fusedFeeds(batch, options),
        },
        gradientFetches(gradients),
        adds,
      );
      return {
        crossEntropy: Number(outputs.cross_entropy!.data[0]),
        distance: Number(outputs.distance?.data[0] ?? 0),
      };
    },
    [Symbol.asyncDispose]: () => graph.close(),
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
export function openScoring(
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: Pick<PassOptions, "threads">,
): Scoring {
  const graph = { backward: false };
  const sessions = openSessions(config, weights, graph, options);
  return {
    async run(batch, weights) {
      const feeds = {
        ...weightFeeds(weights),
        ...tokenFeeds(batch),
        ...labelFeeds(batch),
      };
      const session = await sessions.fitting(batch.length);
      const outputs = await session.run(feeds, { cross_entropy: scalar() });
      return Number(outputs.cross_entropy!.data[0]);
    },
    [Symbol.asyncDispose]: () => sessions.close(),
  };
}

function graphOptions(options: PassOptions): EngineOptions {
  const { memory, accumulates = false } = options;
  const engine = {
    ...sessionOptions(options),
    ...memory && { memory },
    accumulates,
  };
  if (options.topK === 0) return engine;
  if (!isInGraph(options)) {
    throw new RangeError(
      `Cannot compute ${options.loss} with residual ${options.residual} in ` +
        "the graph, expected cross-entropy or kl with residual bucket or zero",
    );
  }
  const { topK, loss, temperature } = options;
  return {
    ...engine,
    distillation: { topK, loss, temperature },
  };
}
