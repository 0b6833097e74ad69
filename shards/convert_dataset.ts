import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { BatchEncoder } from "#/shards/batch_encoder.ts";
import type { Compression } from "#/shards/compression.ts";
import { attempt, parseShardName, splitDirectory } from "#/shards/layout.ts";
import { type Manifest, readManifest } from "#/shards/manifest.ts";
import { ShardFile } from "#/shards/shard_file.ts";
import { StreamFile } from "#/shards/stream_file.ts";

/**
 * Copy a dataset with its shards compressed, or not. Rows, columns and manifest
 * stay what they are, so that to a stage the copy is the same input.
 *
 * It is made under a temporary name: under its own the copy is complete.
 *
 * @param directory The dataset.
 * @param out Where the copy goes: a directory that is not there yet.
 * @param compression How buffers lie in the copy's shards.
 * @returns The manifest of both.
 * @throws {Error} If the dataset is not complete, `out` exists, or a file cannot
 * be written.
 * @throws {SyntaxError} If a shard is truncated or damaged.
 */
export async function convertDataset(
  directory: string,
  out: string,
  compression: Compression,
): Promise<Manifest> {
  const manifest = await readManifest(directory);
  if (existsSync(out)) {
    throw new Error(
      `Cannot write dataset ${out}: it exists, expected a new directory`,
    );
  }
  const unfinished = `${resolve(out)}.tmp`;
  removeFolder(unfinished);
  const splits = Object.keys(manifest.splits).map((split) =>
    relative(directory, splitDirectory(directory, split, manifest))
  );
  try {
    for (const folder of new Set(["", ...splits])) {
      const to = join(unfinished, folder);
      convertFolder(join(directory, folder), to, compression);
    }
    attempt(`dataset ${out}`, () => Deno.renameSync(unfinished, out));
  } catch (error) {
    removeFolder(unfinished);
    throw error;
  }
  return manifest;
}

function convertFolder(
  directory: string,
  out: string,
  compression: Compression,
): void {
  attempt(`dataset ${out}`, () => Deno.mkdirSync(out, { recursive: true }));
  for (const { name, isFile } of Deno.readDirSync(directory)) {
    if (!isFile) continue;
    const [from, to] = [join(directory, name), join(out, name)];
    if (parseShardName(name)) convertShard(from, to, compression);
    else attempt(to, () => Deno.copyFileSync(from, to));
  }
}

function convertShard(
  path: string,
  out: string,
  compression: Compression,
): void {
  using file = new StreamFile(path);
  const encoder = new BatchEncoder(file.schema, compression);
  const shard = new ShardFile(out, encoder.schema);
  try {
    for (const place of file.locations()) {
      shard.write(encoder.encode(file.batch(place)));
    }
  } catch (error) {
    shard.abandon();
    throw error;
  }
  shard.finish();
}

function removeFolder(path: string): void {
  if (existsSync(path)) Deno.removeSync(path, { recursive: true });
}
