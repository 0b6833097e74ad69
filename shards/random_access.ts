import { type BatchRows, batchRows, checkColumns } from "#/shards/batches.ts";
import { ONLY_SPLIT, shardPaths, splitDirectory } from "#/shards/layout.ts";
import { readManifest } from "#/shards/manifest.ts";
import type { Columns, DatasetSchema } from "#/shards/schemas.ts";
import { type BatchLocation, StreamFile } from "#/shards/stream_file.ts";

/** The rows of a dataset, in any order. */
export interface RandomAccess<Row> extends Disposable {
  /** How many rows there are. */
  readonly length: number;
  /**
   * One row; its arrays are views into its batch, so read only.
   *
   * @param index Which one.
   * @returns The row.
   * @throws {RangeError} If there is no such row.
   */
  row(index: number): Row;
}

/** What to open, and how much of it to keep. */
export interface RandomAccessOptions {
  /** The split. Defaults to `train`. */
  split?: string;
  /** Batches kept in memory, the least recently used go first. Defaults to 64, about 64 MiB. */
  cachedBatches?: number;
}

interface Batch extends BatchLocation {
  file: StreamFile;
  columns: Columns;
  /** Index of its first row. */
  first: number;
}

/**
 * Open a complete dataset for reading at random.
 *
 * An index of all batches is read first, of their metadata only; then memory
 * holds no more than `cachedBatches` batches, and those whose rows are in use.
 *
 * @example The first row of a packed dataset
 * ```ts
 * import { datasets, openRandomAccess, type PackedRow } from "#/shards/mod.ts";
 *
 * async function firstRow(directory: string): Promise<PackedRow> {
 *   using rows = await openRandomAccess(directory, datasets.packed());
 *   return rows.row(0);
 * }
 * ```
 *
 * @param directory The dataset.
 * @param schema What the rows are, one of `datasets`.
 * @param options What to open, and how much to keep.
 * @returns The rows; disposing of it closes the files.
 * @throws {Error} If the dataset is not complete.
 * @throws {TypeError} If a column is missing or of another type.
 * @throws {SyntaxError} If a shard is truncated or no Arrow IPC stream.
 */
export async function openRandomAccess<Row>(
  directory: string,
  schema: DatasetSchema<Row>,
  { split = ONLY_SPLIT, cachedBatches = 64 }: RandomAccessOptions = {},
): Promise<RandomAccess<Row>> {
  const manifest = await readManifest(directory);
  const paths = shardPaths(splitDirectory(directory, split, manifest));
  using files = new DisposableStack();
  const batches: Batch[] = [];
  let length = 0;
  for (const path of paths) {
    const file = files.use(new StreamFile(path));
    const columns = checkColumns(file.schema, schema, path);
    for (const location of file.locations()) {
      batches.push({ ...location, file, columns, first: length });
      length += location.rows;
    }
  }
  const decode = lru(cachedBatches, (batch: Batch) => {
    const { file, columns } = batch;
    return batchRows(file.batch(batch), columns, schema, file.path);
  });
  const owned = files.move();
  return {
    length,
    row(index) {
      if (!(index >= 0 && index < length)) {
        throw new RangeError(
          `Cannot read row ${index} of ${directory}: it has ${length} rows`,
        );
      }
      const batch = batchOf(batches, index);
      return decode(batch).row(index - batch.first);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** The last batch that starts at or before a row. */
function batchOf(batches: readonly Batch[], row: number): Batch {
  let low = 0;
  let high = batches.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (batches[middle]!.first <= row) low = middle;
    else high = middle - 1;
  }
  return batches[low]!;
}

function lru<Row>(
  capacity: number,
  decode: (batch: Batch) => BatchRows<Row>,
): (batch: Batch) => BatchRows<Row> {
  const cache = new Map<Batch, BatchRows<Row>>();
  return (batch) => {
    const rows = cache.get(batch) ?? decode(batch);
    cache.delete(batch);
    cache.set(batch, rows);
    if (cache.size > capacity) cache.delete(cache.keys().next().value!);
    return rows;
  };
}
