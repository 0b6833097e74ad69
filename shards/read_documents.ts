import { sep } from "node:path";
import { inputFiles } from "#/shards/input_files.ts";
import { parquetTexts } from "#/shards/parquet_texts.ts";
import {
  arrowTexts,
  isSavedDataset,
  savedTexts,
} from "#/shards/saved_texts.ts";

/** One document of the input. */
export interface InputDocument {
  /** `name:row`, where the name has as much of the path as makes it unique. */
  id: string;
  /** Its text, unchanged but for a byte order mark at the start of a file. */
  text: string;
  /** Where it comes from. */
  file: string;
  /** Which document of that file or dataset it is, from 0. */
  row: number;
}

type Reader = (path: string) => AsyncIterable<unknown> | Iterable<unknown>;

/** How the documents of a file are read, by the end of its name. */
const readers: Record<string, Reader> = {
  ".txt": (path) => [decoded(path, Deno.readFileSync(path))],
  ".jsonl": jsonlTexts,
  ".parquet": parquetTexts,
  ".arrow": arrowColumn,
};

/**
 * Read documents: `.txt` (the file is one document), `.jsonl` (a field `text`
 * on every line), `.parquet` and `.arrow` (a column `text`), saved datasets
 * (ours, whose blocks are joined again, or those of `datasets`), directories
 * and glob patterns of those.
 *
 * Of a directory, files with other endings are left out. Bytes that are not
 * UTF-8 are an error, as a replacement would change the text unnoticed; a lone
 * surrogate, which JSON can write, has no bytes and becomes U+FFFD.
 * Empty lines of a `.jsonl` are skipped, empty documents are not.
 *
 * @param paths What to read, in order.
 * @returns The documents; one row group, batch or line in memory at a time.
 * @throws {Error} If a path does not exist or holds no documents.
 * @throws {TypeError} If `text` is missing or not text, naming file and row.
 * @throws {SyntaxError} If a file cannot be decoded, naming file and row.
 */
export async function* readDocuments(
  paths: readonly string[],
): AsyncGenerator<InputDocument> {
  const files = await documentFiles(paths);
  const names = shortestNames(files);
  for (const [index, file] of files.entries()) {
    const isDataset = (await Deno.stat(file)).isDirectory;
    const texts = isDataset ? joinedBlocks(file) : readers[ending(file)]!(file);
    let row = 0;
    for await (const text of texts) {
      if (typeof text !== "string") {
        throw new TypeError(
          `Cannot read row ${row} of ${file}: text is ` +
            `${JSON.stringify(text) ?? text}, expected a string`,
        );
      }
      const id = `${names[index]}:${row}`;
      yield { id, text: text.toWellFormed(), file, row };
      row++;
    }
  }
}

async function documentFiles(paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    const found = await inputFiles([path], isSavedDataset);
    const readable = found.filter((file) =>
      ending(file) in readers || isSavedDataset(file)
    );
    if (readable.length === 0) {
      throw new Error(
        `Cannot read ${path}: expected ${Object.keys(readers).join(", ")}, ` +
          `a saved dataset, or a directory of those`,
      );
    }
    for (const file of readable) files.push(file);
  }
  return [...new Set(files)];
}

function ending(path: string): string {
  return path.match(/\.[^./\\]+$/)?.[0].toLowerCase() ?? "";
}

/** The last part of every path, and as many more as make all of them differ. */
function shortestNames(paths: readonly string[]): string[] {
  const parts = paths.map((path) => path.split(sep).filter((part) => part));
  const names = (depth: number) =>
    parts.map((part) => part.slice(-depth).join("/"));
  const deepest = Math.max(...parts.map((part) => part.length));
  for (let depth = 1; depth < deepest; depth++) {
    const candidates = names(depth);
    if (new Set(candidates).size === paths.length) return candidates;
  }
  return [...paths];
}

function decoded(path: string, bytes: Uint8Array, row?: number): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const where = row === undefined ? path : `line ${row} of ${path}`;
    throw new SyntaxError(`Cannot read ${where}: it is not UTF-8`, { cause });
  }
}

async function* jsonlTexts(path: string): AsyncGenerator<unknown> {
  let number = 0;
  for await (const bytes of lines(path)) {
    number++;
    const line = decoded(path, bytes, number);
    if (line.trim() === "") continue;
    let value: { text?: unknown } | null;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new SyntaxError(
        `Cannot read line ${number} of ${path}: it is not JSON`,
        { cause },
      );
    }
    if (typeof value?.text !== "string") {
      throw new TypeError(
        `Cannot read line ${number} of ${path}: text is ` +
          `${JSON.stringify(value?.text) ?? "absent"}, expected a string`,
      );
    }
    yield value.text;
  }
}

/** The lines of a file as bytes: a byte 10 is never a part of a character. */
async function* lines(path: string): AsyncGenerator<Uint8Array> {
  using file = await Deno.open(path);
  const chunk = new Uint8Array(2 ** 18);
  let pending: Uint8Array[] = [];
  for (let count; (count = await file.read(chunk)) !== null;) {
    let start = 0;
    for (let end; (end = chunk.indexOf(10, start)) >= 0 && end < count;) {
      yield joined([...pending, chunk.subarray(start, end)]);
      pending = [];
      start = end + 1;
    }
    pending.push(chunk.slice(start, count));
  }
  const rest = joined(pending);
  if (rest.length > 0) yield rest;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function* arrowColumn(path: string): Generator<unknown> {
  for (const { text } of arrowTexts(path)) yield text;
}

/** The texts of a saved dataset; consecutive blocks of one document are one text. */
async function* joinedBlocks(directory: string): AsyncGenerator<unknown> {
  let blocks: unknown[] = [];
  let current: string | undefined;
  for await (const { text, document } of savedTexts(directory)) {
    if (document === undefined) yield text;
    else {
      if (document !== current && blocks.length > 0) {
        yield blocks.join("");
        blocks = [];
      }
      current = document;
      blocks.push(text);
    }
  }
  if (blocks.length > 0) yield blocks.join("");
}
