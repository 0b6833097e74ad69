import { findExport } from "#/models/exported_scorer.ts";
import {
  openScorer,
  type RunOptions,
  type Scorer,
  type TopLogprobs,
} from "#/models/mod.ts";
import { resolveDevice } from "#/onnx/mod.ts";
import { RemoteMethods } from "#/stages/rpc.ts";
import type { ScorerMethods } from "#/stages/scorer_worker.ts";

/** What stages ask of a {@linkcode Scorer}. */
export type TopScorer = Pick<
  Scorer,
  "vocabSize" | "contextLength" | "topLogprobs"
>;

/** A model that runs, here or in workers. */
export interface OpenScorer extends TopScorer, AsyncDisposable {
  /** Batches that keep it busy: one in work, one waiting, for each worker. */
  readonly concurrency: number;
}

/** Where a model runs. */
export interface PoolOptions extends RunOptions {
  /** Workers at most; they share the cores. Defaults to 2 on the CPU, else to 1. */
  workers?: number | undefined;
  /** Sequences that there are, of which a few are not worth a worker. */
  sequences: number;
}

/** A worker takes longer to start than this many short sequences take. */
const WORKER_SEQUENCES = 16;

/**
 * Open a model in workers, so that reading, tokenizing and writing go on here
 * while it runs; for a few sequences, here.
 *
 * Two workers with half of the cores each do more than one with all of them,
 * whose threads wait for each other at every operation. How many threads a
 * worker has depends on `workers`, not on how many are started, so that the
 * results do not depend on `sequences`. On a GPU, and from an ONNX export, each
 * would hold the weights: there is one unless more are asked for.
 *
 * @param directory The model directory.
 * @param options See {@linkcode PoolOptions}.
 * @returns The model, to be closed by the caller.
 * @throws {RangeError} If the model is not supported.
 * @throws {Error} If the device cannot be used.
 */
export async function openScorerPool(
  directory: string,
  { workers, sequences, ...options }: PoolOptions,
): Promise<OpenScorer> {
  const isShared = resolveDevice(options.device) === "cpu" &&
    !await findExport(directory, options.dtype);
  const most = workers ?? (isShared ? 2 : 1);
  const cores = navigator.hardwareConcurrency;
  const threads = Math.max(1, Math.floor(cores / most));
  const count = Math.min(most, Math.ceil(sequences / WORKER_SEQUENCES));
  const run = { ...options, ...most > 1 && { threads } };
  return sequences < WORKER_SEQUENCES
    ? await openHere(directory, run)
    : await ScorerPool.open(directory, run, count);
}

async function openHere(
  directory: string,
  options: RunOptions,
): Promise<OpenScorer> {
  const scorer = await openScorer(directory, options);
  return Object.assign(scorer, { concurrency: 1 });
}

/** A model in workers. */
class ScorerPool implements OpenScorer {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly #workers: readonly ScorerWorker[];

  private constructor(
    workers: readonly ScorerWorker[],
    { vocabSize, contextLength }: Pick<
      Scorer,
      "vocabSize" | "contextLength"
    >,
  ) {
    this.#workers = workers;
    this.vocabSize = vocabSize;
    this.contextLength = contextLength;
  }

  static async open(
    directory: string,
    options: RunOptions,
    count: number,
  ): Promise<ScorerPool> {
    using stack = new DisposableStack();
    const workers = Array.from({ length: count }, () => new ScorerWorker());
    for (const { remote } of workers) stack.use(remote);
    const [sizes] = await Promise.all(
      workers.map(({ remote }) => remote.call("open", [directory, options])),
    );
    stack.move();
    return new ScorerPool(workers, sizes!);
  }

  get concurrency(): number {
    return 2 * this.#workers.length;
  }

  topLogprobs(
    ...batch: Parameters<Scorer["topLogprobs"]>
  ): Promise<TopLogprobs> {
    const idlest = this.#workers.reduce((idlest, worker) =>
      worker.batches < idlest.batches ? worker : idlest
    );
    return idlest.topLogprobs(batch);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#workers.map((worker) => worker[Symbol.asyncDispose]()),
    );
  }
}

class ScorerWorker implements AsyncDisposable {
  readonly remote: RemoteMethods<ScorerMethods>;
  /** Batches that are under way. */
  batches = 0;

  constructor() {
    const url = new URL("./scorer_worker.ts", import.meta.url);
    this.remote = new RemoteMethods(new Worker(url, { type: "module" }));
  }

  async topLogprobs(
    batch: Parameters<Scorer["topLogprobs"]>,
  ): Promise<TopLogprobs> {
    this.batches++;
    try {
      return await this.remote.call("topLogprobs", batch);
    } finally {
      this.batches--;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using remote = this.remote;
    await remote.call("close", []);
  }
}
