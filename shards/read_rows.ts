import { batchRows, checkColumns } from "#/shards/batches.ts";
import { ONLY_SPLIT } from "#/shards/layout.ts";
import type { DatasetSchema } from "#/shards/schemas.ts";
import { decodeBatch, splitBatches } from "#/shards/split_batches.ts";
import { StreamFile } from "#/shards/stream_file.ts";

/** Which rows to read. */
export interface ReadOptions {
  /** The split. Defaults to `train`, which is the only one of a dataset without splits. */
  split?: string;
  /** Rows to leave out at the start; whole batches of them are not even read. Defaults to 0. */
  skip?: number;
}

/**
 * Read the rows of a complete dataset, one batch in memory at a time.
 *
 * Arrays of a row are views into its batch, except f16 columns, which become
 * f32 copies: keep rows only as long as they are needed.
 *
 * @example Count the tokens of a dataset
 * ```ts
 * import { datasets, readRows } from "#/shards/mod.ts";
 *
 * async function countTokens(directory: string): Promise<number> {
 *   let tokens = 0;
 *   for await (const row of readRows(directory, datasets.representations)) {
 *     tokens += row.inputIds.length;
 *   }
 *   return tokens;
 * }
 * ```
 *
 * @param directory The dataset.
 * @param schema What the rows are, one of `datasets`.
 * @param options Which rows.
 * @returns The rows, in order.
 * @throws {Error} If the dataset is not complete.
 * @throws {TypeError} If a column is missing, of another type, or holds nulls.
 * @throws {SyntaxError} If a shard is truncated or no Arrow IPC stream.
 */
export async function* readRows<Row>(
  directory: string,
  schema: DatasetSchema<Row>,
  { split = ONLY_SPLIT, skip = 0 }: ReadOptions = {},
): AsyncGenerator<Row> {
  for await (const batch of splitBatches(directory, split)) {
    const first = Math.max(0, skip - batch.first);
    if (first >= batch.rows) continue;
    const rows = decodeBatch(batch, schema);
    for (let index = first; index < rows.length; index++) {
      yield rows.row(index);
    }
  }
}

/**
 * Read the rows of one shard.
 *
 * @param path The shard.
 * @param schema What the rows are.
 * @returns The rows, in order.
 * @throws {TypeError} If a column is missing, of another type, or holds nulls.
 * @throws {SyntaxError} If the shard is truncated or no Arrow IPC stream.
 */
export function* shardRows<Row>(
  path: string,
  schema: DatasetSchema<Row>,
): Generator<Row> {
  using file = new StreamFile(path);
  const columns = checkColumns(file.schema, schema, path);
  for (const location of file.locations()) {
    const rows = batchRows(file.batch(location), columns, schema, path);
    for (let index = 0; index < rows.length; index++) yield rows.row(index);
  }
}
