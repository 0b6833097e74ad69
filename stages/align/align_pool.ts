import type { RepresentationRow } from "#/shards/mod.ts";
import { buffersOf, RemoteMethods } from "#/stages/rpc.ts";
import type { VocabularyTable } from "#/tokenizers/mod.ts";
import type { AlignWorkerMethods } from "./align_worker.ts";
import type {
  AlignedEvidence,
  Aligner,
  BlockAlignerOptions,
} from "./block_aligner.ts";
import type { JoinedRows } from "./join_rows.ts";
import type { MappingTable } from "./mapping_table.ts";
import type { AlignMethodName } from "./methods/mod.ts";

/** Where transport is solved. */
export type TransportDevice = "auto" | "cpu" | "webgpu";

/** What the pool needs to begin. */
export interface AlignSetup {
  /** The target's directory. */
  target: string;
  /** The source's. */
  source: string;
  /** What `mapVocab()` says of the two. */
  mapping: MappingTable;
  /** Where to solve; `auto` is WebGPU where there is an adapter. */
  device: TransportDevice;
  /** How blocks are aligned. */
  options: Omit<BlockAlignerOptions, "solve"> & { method: AlignMethodName };
}

/** What a worker needs to begin. */
export interface WorkerSetup extends Omit<AlignSetup, "target" | "source"> {
  /** The target's tokens. */
  target: VocabularyTable;
  /** The source's. */
  source: VocabularyTable;
}

/** Aligns blocks in workers. */
export class AlignPool implements Aligner, Disposable {
  readonly #workers: readonly AlignWorker[];
  #gpu: string | undefined;

  /**
   * Start workers, which then wait for {@linkcode open}.
   *
   * @param count How many.
   */
  constructor(count: number) {
    this.#workers = Array.from({ length: count }, () => new AlignWorker());
  }

  /**
   * Say what is to be done.
   *
   * @param setup What each worker begins with.
   * @throws {RangeError} If the mapping is not one of these tokenizers.
   * @throws {Error} If there is no adapter and one is asked for.
   */
  async open({ target, source, ...setup }: AlignSetup): Promise<void> {
    // Read in one worker only: what that leaves behind is swept where one works.
    const { remote } = this.#workers[0]!;
    const tables = await remote.call("read", [{ target, source }]);
    const gpus = await Promise.all(
      this.#workers.map(({ remote }) =>
        remote.call("open", [{ ...setup, ...tables }])
      ),
    );
    this.#gpu = gpus[0];
  }

  /** Name of the GPU that solves transport; `undefined` on the CPU. */
  get gpu(): string | undefined {
    return this.#gpu;
  }

  /** Batches that keep all workers busy: one in work, one waiting. */
  get concurrency(): number {
    return 2 * this.#workers.length;
  }

  /**
   * Align blocks in the worker that has least to do.
   *
   * @param blocks What the two models say about each. Arrays that are no views
   * move to the worker.
   * @returns One row per block, in their order.
   * @throws {RangeError} If a block's ids are not the tokenizers'.
   */
  align(blocks: readonly JoinedRows[]): Promise<AlignedEvidence[]> {
    const worker = this.#workers.reduce((idlest, worker) =>
      worker.batches < idlest.batches ? worker : idlest
    );
    return worker.align(blocks);
  }

  /** End the workers. */
  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker[Symbol.dispose]();
  }
}

class AlignWorker implements Disposable {
  readonly remote: RemoteMethods<AlignWorkerMethods>;
  /** Batches that are under way. */
  batches = 0;

  constructor() {
    const url = new URL("./align_worker.ts", import.meta.url);
    this.remote = new RemoteMethods(new Worker(url, { type: "module" }));
  }

  async align(blocks: readonly JoinedRows[]): Promise<AlignedEvidence[]> {
    const own = blocks.map(ownRows);
    const moved = own.flatMap(({ targetRow, sourceRow }) => [
      ...buffersOf(targetRow),
      ...buffersOf(sourceRow),
    ]);
    this.batches++;
    try {
      return await this.remote.call("align", [own], moved);
    } finally {
      this.batches--;
    }
  }

  [Symbol.dispose](): void {
    this.remote[Symbol.dispose]();
  }
}

/** Rows are views, and with a view goes all that it is one of. */
function ownRows({ targetRow, sourceRow }: JoinedRows): JoinedRows {
  return { targetRow: ownRow(targetRow), sourceRow: ownRow(sourceRow) };
}

function ownRow(row: RepresentationRow): RepresentationRow {
  return {
    ...row,
    inputIds: owned(row.inputIds),
    byteEnds: owned(row.byteEnds),
    topkIds: owned(row.topkIds),
    topkLogprobs: owned(row.topkLogprobs),
    labelLogprobs: owned(row.labelLogprobs),
  };
}

function owned<Values extends Int32Array | Float32Array>(
  values: Values,
): Values {
  const isWhole = values.byteLength === values.buffer.byteLength;
  return isWhole ? values : values.slice() as Values;
}
