import { type BatchRows, batchRows, checkColumns } from "#/shards/batches.ts";
import { shardPaths, splitDirectory } from "#/shards/layout.ts";
import { readManifest } from "#/shards/manifest.ts";
import type { DatasetSchema } from "#/shards/schemas.ts";
import { type BatchLocation, StreamFile } from "#/shards/stream_file.ts";

/** One record batch of a split, not decoded. */
export interface SplitBatch extends BatchLocation {
  /** Its shard, open until the next batch is asked for. */
  file: StreamFile;
  /** The split's row that is its first. */
  first: number;
}

/**
 * Find the record batches of a split, reading their metadata only.
 *
 * @param directory The dataset.
 * @param split The split.
 * @returns The batches, in order.
 * @throws {Error} If the dataset is not complete.
 * @throws {RangeError} If it has no such split, or less or more rows than its
 * manifest says.
 * @throws {SyntaxError} If a shard is truncated or no Arrow IPC stream.
 */
export async function* splitBatches(
  directory: string,
  split: string,
): AsyncGenerator<SplitBatch> {
  const manifest = await readManifest(directory);
  let first = 0;
  for (const path of shardPaths(splitDirectory(directory, split, manifest))) {
    using file = new StreamFile(path);
    for (const location of file.locations()) {
      yield { ...location, file, first };
      first += location.rows;
    }
  }
  if (first !== manifest.splits[split]) {
    throw new RangeError(
      `Cannot read dataset ${directory}: its shards hold ${first} rows of ` +
        `${split}, expected ${manifest.splits[split]} as in manifest.json`,
    );
  }
}

/**
 * Decode a batch.
 *
 * @param batch The batch, whose shard is still open.
 * @param schema What its rows are.
 * @returns Its rows.
 * @throws {TypeError} If a column is missing, of another type, or holds nulls.
 * @throws {SyntaxError} If it is damaged.
 */
export function decodeBatch<Row>(
  batch: SplitBatch,
  schema: DatasetSchema<Row>,
): BatchRows<Row> {
  const { file } = batch;
  const columns = checkColumns(file.schema, schema, file.path);
  return batchRows(file.batch(batch), columns, schema, file.path);
}
