import type { BatchRows } from "#/shards/batches.ts";
import { ONLY_SPLIT } from "#/shards/layout.ts";
import type { DatasetSchema } from "#/shards/schemas.ts";
import {
  decodeBatch,
  type SplitBatch,
  splitBatches,
} from "#/shards/split_batches.ts";

/** A record batch in memory. */
interface DecodedBatch<Row> {
  first: number;
  rows: BatchRows<Row>;
}

/** How to read forward. */
export interface ForwardOptions {
  /** The split. Defaults to `train`. */
  split?: string;
  /**
   * Give a batch's memory back once it has been passed and the next range is
   * asked for: rows are empty then. Defaults to waiting until they are swept.
   */
  release?: boolean;
}

/**
 * Reads ranges of a dataset's rows, each behind the one before; one batch is in
 * memory at a time, and those between ranges are not even read.
 */
export class ForwardRows<Row> implements AsyncDisposable {
  readonly #directory: string;
  readonly #schema: DatasetSchema<Row>;
  readonly #batches: AsyncGenerator<SplitBatch>;
  readonly #releases: boolean;
  readonly #passed: DecodedBatch<Row>[] = [];
  #current: DecodedBatch<Row> | undefined;

  /**
   * Prepare; nothing is read yet.
   *
   * @param directory The dataset.
   * @param schema What the rows are, one of `datasets`.
   * @param options See {@linkcode ForwardOptions}.
   */
  constructor(
    directory: string,
    schema: DatasetSchema<Row>,
    { split = ONLY_SPLIT, release = false }: ForwardOptions = {},
  ) {
    this.#directory = directory;
    this.#schema = schema;
    this.#batches = splitBatches(directory, split);
    this.#releases = release;
  }

  /**
   * Read rows; their arrays are views into their batch, so read only.
   *
   * @param first The first of them, in the batch that was read last or behind it.
   * @param end The row behind the last. Defaults to the end of the split.
   * @returns The rows, in order; less where the split ends before.
   * @throws {RangeError} If `first` has been passed.
   * @throws {Error} If the dataset is not complete.
   * @throws {TypeError} If a column is missing, of another type, or holds nulls.
   * @throws {SyntaxError} If a shard is truncated or no Arrow IPC stream.
   */
  async *rows(first: number, end: number = Infinity): AsyncGenerator<Row> {
    for (const { rows } of this.#passed.splice(0)) rows.release();
    for (let row = first; row < end;) {
      const batch = await this.#batchOf(row);
      if (!batch) return;
      const stop = Math.min(end, batch.first + batch.rows.length);
      for (; row < stop; row++) yield batch.rows.row(row - batch.first);
    }
  }

  /** Close the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#batches.return(undefined);
  }

  async #batchOf(row: number): Promise<DecodedBatch<Row> | undefined> {
    const current = this.#current;
    if (current && row < current.first) {
      throw new RangeError(
        `Cannot read row ${row} of ${this.#directory}: it has been passed, ` +
          `expected at least ${current.first}`,
      );
    }
    if (current && row < current.first + current.rows.length) return current;
    this.#current = undefined;
    if (this.#releases && current) this.#passed.push(current);
    for (let next; !(next = await this.#batches.next()).done;) {
      const { first, rows } = next.value;
      if (row >= first + rows) continue;
      return this.#current = {
        first,
        rows: decodeBatch(next.value, this.#schema),
      };
    }
    return undefined;
  }
}
