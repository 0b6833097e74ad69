import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  datasets,
  hashInput,
  type Manifest,
  openRandomAccess,
  readDocuments,
  readManifest,
  readRows,
} from "#/shards/mod.ts";
import { startId, type Tokenizer, tokenizerHash } from "#/tokenizers/mod.ts";
import { tokenPacker } from "#/stages/train/pack_tokens.ts";
import {
  concatData,
  type SourceVocabulary,
  type TrainingData,
} from "#/stages/train/training_data.ts";

/** How {@linkcode openTrainingData} reads. */
export interface OpenDataOptions {
  /** Encodes text; packed rows are tokens already. */
  tokenizer: Tokenizer;
  /** Positions of a row made of text. Packed rows keep their own. */
  length: number;
  /** The split of a dataset, where it has it. */
  split: "train" | "validation";
}

/** A piece of text; `last` where it ends a document. */
interface Passage {
  text: string;
  last: boolean;
}

/**
 * Open what a model is to learn from: packed datasets, text datasets of
 * `split`, or documents (.txt, .jsonl, .parquet, directories of those), which
 * are tokenized and packed in memory.
 *
 * @param paths The data, all of them rows of one length.
 * @param options See {@linkcode OpenDataOptions}.
 * @returns The rows of all paths, and what closes their files.
 * @throws {Error} If a path is none of these, or a dataset is not complete.
 * @throws {RangeError} If there is nothing to learn from.
 */
export async function openTrainingData(
  paths: readonly string[],
  options: OpenDataOptions,
): Promise<TrainingData & Disposable> {
  const stack = new DisposableStack();
  const parts: TrainingData[] = [];
  for (const path of paths) {
    const isDataset = existsSync(join(path, "manifest.json")) ||
      existsSync(join(path, "partial.json"));
    const manifest = isDataset ? await readManifest(path) : undefined;
    parts.push(
      manifest?.stage === "pack"
        ? stack.use(await openPacked(path, manifest, options))
        : await packText(path, options, manifest),
    );
  }
  const data = concatData(parts);
  return { ...data, [Symbol.dispose]: () => stack.dispose() };
}

async function openPacked(
  path: string,
  manifest: Manifest,
  options: OpenDataOptions,
): Promise<TrainingData & Disposable> {
  const split = splitOf(manifest, options);
  const rows = await openRandomAccess(path, datasets.packed(), { split });
  const { bytes, sourceTokens } = (manifest.metadata ?? {}) as {
    bytes?: Record<string, number>;
    sourceTokens?: Record<string, SourceVocabulary>;
  };
  const first = rows.length > 0 ? rows.row(0) : undefined;
  return {
    name: nameOf(path, split),
    rows: rows.length,
    length: first?.inputIds.length ?? 0,
    teachers: Object.fromEntries(
      Object.entries(first?.teachers ?? {}).map(([name, { topK }]) => [
        name,
        topK,
      ]),
    ),
    ...sourceTokens && { sourceTokens },
    digest: await hashInput(path),
    ...bytes?.[split] !== undefined && { bytes: bytes[split] },
    read: (row) => Promise.resolve(rows.row(row)),
    [Symbol.dispose]: () => rows[Symbol.dispose](),
  };
}

async function packText(
  path: string,
  options: OpenDataOptions,
  manifest: Manifest | undefined,
): Promise<TrainingData> {
  const { tokenizer, length } = options;
  const packer = tokenPacker(length, startId(tokenizer));
  const split = manifest ? splitOf(manifest, options) : "train";
  const passages = manifest
    ? readRows(path, datasets.text, { split })
    : documents(path);
  const encoder = new TextEncoder();
  let bytes = 0;
  let digest = 0;
  for await (const { text, last } of passages) {
    const { ids } = tokenizer.encode(text);
    packer.add({ ids, end: last ? tokenizer.special.eos : undefined });
    bytes += encoder.encode(text).length;
    for (const id of ids) digest = Math.imul(digest ^ id, 0x01000193) + 1 | 0;
  }
  const { rows } = packer;
  return {
    name: nameOf(path, split),
    rows: rows.length,
    length,
    teachers: {},
    digest: `${await tokenizerHash(tokenizer.directory)} ${length} ` +
      `${bytes} ${digest}`,
    bytes,
    read: (row) => Promise.resolve(rows[row]!),
  };
}

async function* documents(path: string): AsyncGenerator<Passage> {
  for await (const { text } of readDocuments([path])) {
    if (text !== "") yield { text, last: true };
  }
}

/** The split asked for, else the only one there is. */
function splitOf(manifest: Manifest, { split }: OpenDataOptions): string {
  const splits = Object.keys(manifest.splits);
  return splits.includes(split) ? split : splits[0]!;
}

function nameOf(path: string, split: string): string {
  return split === "train" ? path : `${path}, split ${split}`;
}
