/**
 * Aligns ranges of rows for an {@linkcode AlignPool}: with readers, vocabularies,
 * relations and a transport solver of its own.
 *
 * @module
 */
import {
  fitsSinkhorn,
  requestDevice,
  sinkhorn,
  type SinkhornOptions,
  type SinkhornOutput,
  sinkhornScaling,
  type TransportProblems,
} from "#/kernels/mod.ts";
import { release, serve } from "#/stages/rpc.ts";
import {
  loadTokenizer,
  loadVocabulary,
  vocabularyOf,
  type VocabularyTable,
  vocabularyTable,
} from "#/tokenizers/mod.ts";
import type {
  AlignedRange,
  AlignRange,
  AlignSetup,
  WorkerSetup,
} from "./align_pool.ts";
import { BlockAligner } from "./block_aligner.ts";
import { type Cost, costs } from "./costs/mod.ts";
import { mappingOf } from "./mapping_table.ts";
import { type AlignMethod, methods } from "./methods/mod.ts";
import { RangeAligner } from "./range_aligner.ts";

/** Target tokens of a batch that is solved on a GPU: each waits some 10 ms. */
const GPU_BATCH_TOKENS = 8192;

let aligner: RangeAligner;

const offered = {
  /** Reads a vocabulary, for all workers. */
  async read(directory: string): Promise<VocabularyTable> {
    return vocabularyTable(await loadVocabulary(directory));
  },
  /** Gets ready; the name of the GPU, if transport is solved there. */
  async open(setup: WorkerSetup): Promise<string | undefined> {
    const device = await openDevice(setup.device);
    const blocks = new BlockAligner({
      target: needsEncoder(setup)
        ? await loadTokenizer(setup.target.directory)
        : vocabularyOf(setup.target),
      source: vocabularyOf(setup.source),
      mapping: mappingOf(setup.mapping),
    }, {
      ...setup.options,
      ...(device && { solve: (...batch) => solveOn(device, ...batch) }),
    });
    aligner = new RangeAligner(blocks, setup, {
      ...(device && { batchTokens: GPU_BATCH_TOKENS }),
    });
    return device && (device.label || "unnamed adapter");
  },
  /** Aligns a range, see {@linkcode RangeAligner.align}. */
  align(range: AlignRange): Promise<AlignedRange> {
    return aligner.align(range);
  },
};

/** What the worker answers. */
export type AlignWorkerMethods = typeof offered;

serve(
  offered,
  (result) => isAlignedRange(result) ? [result.encoded.batch.buffer] : [],
);

function isAlignedRange(result: unknown): result is AlignedRange {
  return typeof result === "object" && result !== null && "encoded" in result;
}

function needsEncoder({ options }: WorkerSetup): boolean {
  const method: AlignMethod = methods[options.method];
  const cost: Cost | undefined = options.cost && costs[options.cost];
  return Boolean(method.needsEncoder || cost?.needsEncoder);
}

/** Too large problems are solved on the CPU. */
async function solveOn(
  device: GPUDevice,
  problems: TransportProblems,
  options: SinkhornOptions,
): Promise<SinkhornOutput> {
  const output = fitsSinkhorn(problems.rows, problems.cols)
    ? await sinkhorn(device, problems, options)
    : sinkhornScaling(problems, options);
  release(problems);
  return output;
}

/** A CPU that stands in for a GPU is slower than the CPU. */
async function openDevice(
  where: AlignSetup["device"],
): Promise<GPUDevice | undefined> {
  const device = where === "cpu" ? undefined : await requestDevice();
  if (where === "auto" && device?.adapterInfo.isFallbackAdapter) {
    device.destroy();
    return undefined;
  }
  if (where === "webgpu" && !device) {
    throw new Error(
      "Cannot align on WebGPU: there is no adapter, expected one (a driver " +
        "for Vulkan, Metal or Direct3D 12), or --device cpu",
    );
  }
  return device;
}
