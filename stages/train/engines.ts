import {
  blockwiseMemory,
  type BlockwiseOptions,
  type BlockwiseTraining,
  openBlockwise,
  type Tensors,
  TiledGraphs,
  trainingModel,
  type WeightShapes,
} from "#/models/mod.ts";
import { ARENA_SLACK, createSession, type Tensor } from "#/onnx/mod.ts";

/** Runs a model forward and backward, in one piece or in many. */
export type Engine = Pick<BlockwiseTraining, "weightNames" | "run" | "close">;

/** How an {@linkcode Engine} is built and run. */
export interface EngineOptions extends BlockwiseOptions {
  /** Bytes that the process may take; as many as the machine has free by default. */
  memory?: number;
  /** Whether runs add to gradients, in whose place nothing can lie then. */
  accumulates?: boolean;
}

/** The machine and the user, as {@linkcode openFitting} meets them. */
export interface Surroundings {
  /** Bytes of memory that are free; `undefined`, where that is not to be known. */
  free?: (memory?: number) => number | undefined;
  /** Says what was chosen. */
  say?: (text: string) => Promise<void>;
}

/** Builds an {@linkcode Engine}. */
export type OpenEngine = (
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: EngineOptions,
) => Promise<Engine>;

/**
 * Engines by the tiles that attention takes batches in, each opened when the first
 * batch for it comes.
 *
 * @param open Builds one of them.
 * @param config config.json, verbatim.
 * @param weights Shapes of the weights.
 * @param options Of the graphs and their sessions.
 * @returns The engine, to be closed by the caller.
 */
export function openTiled(
  open: OpenEngine,
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: EngineOptions,
): Promise<Engine> {
  const { weightNames } = trainingModel(config, weights, options);
  const engines = new TiledGraphs((tiles) =>
    open(config, weights, { ...options, tiles })
  );
  return Promise.resolve({
    weightNames,
    run: async (feeds, ...into) => {
      const engine = await engines.fitting(feeds.input_ids!.dims[1]!);
      return await engine.run(feeds, ...into);
    },
    close: () => engines.close(),
  });
}

/**
 * As `openBlockwise`, in one piece.
 *
 * @param config config.json, verbatim.
 * @param weights Shapes of the weights.
 * @param options Of the graph and its session.
 * @returns The engine, to be closed by the caller.
 */
export async function openWhole(
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: EngineOptions,
): Promise<Engine> {
  const { bytes, weightNames } = trainingModel(config, weights, options);
  const session = await createSession(bytes, options);
  return {
    weightNames,
    run: (feeds, fetches, adds = false) => {
      const values = {
        cross_entropy: scalar(),
        ...options.distillation && { distance: scalar() },
      };
      return adds
        ? session.runAdding(feeds, fetches, Object.keys(values))
        : session.run(feeds, { ...fetches, ...values });
    },
    close: () => session.close(),
  };
}

/**
 * Whichever of `openWhole` and `openBlockwise` fits into the memory that is free
 * when the first batch comes; the others are as large.
 *
 * @param config config.json, verbatim.
 * @param weights Shapes of the weights.
 * @param options Of the graphs and their sessions.
 * @param surroundings What it asks the machine and tells the user.
 * @returns The engine, to be closed by the caller.
 */
export function openFitting(
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: EngineOptions,
  { free = freeBytes, say = writeNote }: Surroundings = {},
): Promise<Engine> {
  const { weightNames, peakBytes, trainable } = trainingModel(
    config,
    weights,
    options,
  );
  let engine: Promise<Engine> | undefined;
  const choose = async ({ input_ids }: Tensors) => {
    const [batch, length] = input_ids!.dims as [number, number];
    const parameters = sumSizes(trainable);
    const needed = ARENA_SLACK * peakBytes(batch, length) + 8 * parameters;
    const available = free(options.memory);
    if (available === undefined || needed <= available) {
      return await openWhole(config, weights, options);
    }
    const memory = blockwiseMemory(config, weights, options, batch, length);
    const spare = available - memory.run - 12 * parameters;
    const keptWidth = (options.accumulates ? 0 : memory.roomWidth) +
      Math.max(0, Math.floor(spare / memory.keptFeature));
    await say(
      "train: going block by block, as the whole graph would take " +
        `${gigabytes(needed)} of the free ${gigabytes(available)} ` +
        "(--no-recompute goes on nevertheless); products are computed again " +
        `beyond ${keptWidth} features a block\n`,
    );
    return await openBlockwise(config, weights, { ...options, keptWidth });
  };
  return Promise.resolve({
    weightNames,
    run: async (feeds, ...into) =>
      (await (engine ??= choose(feeds))).run(feeds, ...into),
    close: async () => (await engine)?.close(),
  });
}

function sumSizes(
  weights: ReadonlyMap<string, { shape: readonly number[] }>,
): number {
  let sum = 0;
  for (const { shape } of weights.values()) {
    sum += shape.reduce((product, size) => product * size, 1);
  }
  return sum;
}

function freeBytes(memory = Infinity): number | undefined {
  const allowed = memory - Deno.memoryUsage().rss;
  const asked = { name: "sys", kind: "systemMemoryInfo" } as const;
  if (Deno.permissions.querySync(asked).state !== "granted") {
    return allowed < Infinity ? allowed : undefined;
  }
  return Math.min(allowed, Deno.systemMemoryInfo().available);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

async function writeNote(text: string): Promise<void> {
  await Deno.stderr.write(new TextEncoder().encode(text));
}

/**
 * Where a graph writes a number.
 *
 * @returns A new scalar.
 */
export function scalar(): Tensor {
  return { type: "float32", dims: [], data: new Float32Array(1) };
}
