import { EncodedRows, type RowRange } from "#/shards/mod.ts";
import { RemoteMethods } from "#/stages/rpc.ts";
import type { VocabularyTable } from "#/tokenizers/mod.ts";
import type { AlignWorkerMethods } from "./align_worker.ts";
import type { BlockAlignerOptions } from "./block_aligner.ts";
import type { EvidenceCounts } from "./evidence.ts";
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
  /** The dataset of what the target predicts. */
  targetRepresentations: string;
  /** That of what the source predicts. */
  sourceRepresentations: string;
  /** What `mapVocab()` says of the two. */
  mapping: MappingTable;
  /** Where to solve; `auto` is WebGPU where there is a GPU, not software alone. */
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

/** Rows of a split that are aligned together. */
export interface AlignRange extends RowRange {
  /** The split. */
  split: string;
  /** Whether the target has no further rows, so that the source must not either. */
  isLast: boolean;
}

/** What becomes of a range. */
export interface AlignedRange {
  /** The aligned rows. */
  encoded: EncodedRows;
  /** The evidence of each. */
  evidence: readonly EvidenceCounts[];
}

/**
 * Aligns ranges of rows in workers, which read them, and encode what comes out:
 * no row goes from thread to thread.
 */
export class AlignPool implements Disposable {
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
    // Each is read in one worker, where there are two at the same time.
    const [first, last] = [this.#workers[0]!, this.#workers.at(-1)!];
    const tables = await Promise.all([
      first.remote.call("read", [target]),
      last.remote.call("read", [source]),
    ]);
    const vocabularies = { target: tables[0], source: tables[1] };
    const gpus = await Promise.all(
      this.#workers.map(({ remote }) =>
        remote.call("open", [{ ...setup, ...vocabularies }])
      ),
    );
    this.#gpu = gpus[0];
  }

  /** Name of the GPU that solves transport; `undefined` on the CPU. */
  get gpu(): string | undefined {
    return this.#gpu;
  }

  /** Ranges that keep all workers busy: one in work, one waiting. */
  get concurrency(): number {
    return 2 * this.#workers.length;
  }

  /**
   * Align a range in the worker that has least to do.
   *
   * @param range Which rows, behind those of the ranges before.
   * @returns What becomes of it.
   * @throws {RangeError} If rows are not about the same blocks, or their ids are
   * not the tokenizers', naming the row.
   * @throws {SyntaxError} If a shard cannot be read, naming it.
   */
  align(range: AlignRange): Promise<AlignedRange> {
    const worker = this.#workers.reduce((idlest, worker) =>
      worker.ranges < idlest.ranges ? worker : idlest
    );
    return worker.align(range);
  }

  /** End the workers. */
  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker[Symbol.dispose]();
  }
}

class AlignWorker implements Disposable {
  readonly remote: RemoteMethods<AlignWorkerMethods>;
  /** Ranges that are under way. */
  ranges = 0;

  constructor() {
    const url = new URL("./align_worker.ts", import.meta.url);
    this.remote = new RemoteMethods(new Worker(url, { type: "module" }));
  }

  async align(range: AlignRange): Promise<AlignedRange> {
    this.ranges++;
    try {
      const { encoded, evidence } = await this.remote.call("align", [range]);
      return { encoded: new EncodedRows(encoded), evidence };
    } finally {
      this.ranges--;
    }
  }

  [Symbol.dispose](): void {
    this.remote[Symbol.dispose]();
  }
}
