import { existsSync } from "node:fs";
import { join } from "node:path";
import { DataType, type Vector } from "apache-arrow";
import { columnKinds } from "#/shards/columns.ts";
import { shardPaths } from "#/shards/layout.ts";
import { readManifest } from "#/shards/manifest.ts";
import { StreamFile } from "#/shards/stream_file.ts";

/** One value of a `text` column. */
export interface SavedText {
  /** The shard. */
  file: string;
  /** The value; whatever the file holds, so that the caller checks it. */
  text: unknown;
  /** In a text dataset of ours, the document the block belongs to. */
  document?: string;
}

/**
 * Whether a directory is a saved dataset, ours or one of `datasets`.
 *
 * @param directory The directory.
 * @returns True if it has the files of one.
 */
export function isSavedDataset(directory: string): boolean {
  return ["state.json", "dataset_dict.json", "manifest.json", "partial.json"]
    .some((name) => existsSync(join(directory, name)));
}

/**
 * Read the `text` column of a saved dataset, one batch in memory at a time.
 *
 * @param directory The dataset, or one split of it.
 * @returns The values, in order.
 * @throws {Error} If it is a dataset of ours that is not complete.
 * @throws {RangeError} If it has several splits: one must be named.
 * @throws {TypeError} If there is no column `text` or it is no text.
 */
export async function* savedTexts(
  directory: string,
): AsyncGenerator<SavedText> {
  const isOurs = ["manifest.json", "partial.json"]
    .some((name) => existsSync(join(directory, name)));
  if (isOurs) await readManifest(directory);
  for (const shard of shardPaths(onlySplit(directory))) {
    yield* arrowTexts(shard);
  }
}

/**
 * Read the `text` column of an Arrow IPC stream.
 *
 * @param path The file.
 * @returns The values, in order.
 * @throws {TypeError} If there is no column `text` or it is no text.
 * @throws {SyntaxError} If the file is truncated or no Arrow IPC stream.
 */
export function* arrowTexts(path: string): Generator<SavedText> {
  using file = new StreamFile(path);
  const { fields, names } = file.schema;
  const type = fields.find(({ name }) => name === "text")?.type as DataType;
  if (!type) {
    throw new TypeError(
      `Cannot read ${path}: it has the columns ${names.join(", ")}, ` +
        `expected a column text`,
    );
  }
  if (!isText(type)) {
    throw new TypeError(
      `Cannot read ${path}: column text is ${type}, expected text`,
    );
  }
  const isBlocks = names.includes("document") && names.includes("block");
  for (const location of file.locations()) {
    const batch = file.batch(location);
    const text = reader(batch.getChild("text")!);
    const documents = isBlocks ? batch.getChild("document") : undefined;
    for (let row = 0; row < batch.numRows; row++) {
      yield documents
        ? { file: path, text: text(row), document: String(documents.get(row)) }
        : { file: path, text: text(row) };
    }
  }
}

function isText(type: DataType): boolean {
  return DataType.isUtf8(type) || DataType.isLargeUtf8(type) ||
    DataType.isUtf8View(type) ||
    DataType.isDictionary(type) && isText(type.dictionary);
}

/** apache-arrow takes a byte order mark at the start of a value away. */
function reader(texts: Vector): (row: number) => unknown {
  const data = texts.data[0]!;
  if (!DataType.isUtf8(data.type)) return (row) => texts.get(row);
  const view = columnKinds.utf8.view(data);
  return (row) => data.getValid(row) ? view(row) : null;
}

function onlySplit(directory: string): string {
  const path = join(directory, "dataset_dict.json");
  if (!existsSync(path)) return directory;
  const { splits } = JSON.parse(Deno.readTextFileSync(path));
  if (splits.length === 1) return join(directory, splits[0]);
  throw new RangeError(
    `Cannot read dataset ${directory}: it has the splits ` +
      `${splits.join(", ")}, expected one: name it, as ${directory}/${
        splits[0]
      }`,
  );
}
