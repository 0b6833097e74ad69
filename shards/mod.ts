/**
 * Data at rest: the schemas of every dataset a run leaves, streaming readers
 * and writers with bounded memory, manifests, and the documents a run starts
 * from. The only place that knows Arrow and Parquet.
 *
 * A dataset is a directory of Arrow IPC stream shards that Hugging Face's
 * `datasets.load_from_disk` opens too, compressed inside by Zstandard, plus
 * `manifest.json`, written last: a manifest means complete.
 *
 * @module
 */

export * from "#/shards/rows.ts";
export {
  type Columns,
  datasets,
  type DatasetSchema,
  type Values,
} from "#/shards/schemas.ts";
export type { ColumnKind, ColumnValues } from "#/shards/columns.ts";
export type { NumberTable } from "#/shards/column_views.ts";
export { type ReadOptions, readRows } from "#/shards/read_rows.ts";
export { type ForwardOptions, ForwardRows } from "#/shards/forward_rows.ts";
export { type RowRange, rowRanges } from "#/shards/row_ranges.ts";
export {
  openRandomAccess,
  type RandomAccess,
  type RandomAccessOptions,
} from "#/shards/random_access.ts";
export {
  type DatasetPlan,
  type Produce,
  type Resume,
  writeDataset,
  type WrittenDataset,
} from "#/shards/write_dataset.ts";
export { EncodedRows, RowEncoder } from "#/shards/row_encoder.ts";
export type { Compression } from "#/shards/compression.ts";
export { convertDataset } from "#/shards/convert_dataset.ts";
export {
  type Identity,
  type Manifest,
  readManifest,
} from "#/shards/manifest.ts";
export { hashInput } from "#/shards/hash_input.ts";
export { type InputDocument, readDocuments } from "#/shards/read_documents.ts";
