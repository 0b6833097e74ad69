import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "#/shards/manifest.ts";

/** The split of a dataset that has no splits. */
export const ONLY_SPLIT = "train";

/**
 * The name of a shard: `data-00003.arrow` while their number is unknown,
 * `data-00003-of-00007.arrow` afterwards.
 *
 * @param index Which shard, from 0.
 * @param count How many there are, if that is known.
 * @returns The file's name.
 */
export function shardName(index: number, count?: number): string {
  const of = count === undefined ? "" : `-of-${digits(count)}`;
  return `data-${digits(index)}${of}.arrow`;
}

/**
 * Take the name of a complete shard apart.
 *
 * @param name A file's name.
 * @returns Which shard it is and, if its name says so, of how many; `undefined`
 * if it is none.
 */
export function parseShardName(
  name: string,
): { index: number; count?: number } | undefined {
  const [match, index, count] =
    name.match(/^data-(\d{5,})(?:-of-(\d{5,}))?\.arrow$/) ?? [];
  if (!match) return undefined;
  return count === undefined
    ? { index: Number(index) }
    : { index: Number(index), count: Number(count) };
}

/**
 * Where the shards of a split lie: in a folder of its name if the dataset has
 * splits, else in the dataset's own.
 *
 * @param directory The dataset.
 * @param split The split.
 * @param manifest What the dataset holds.
 * @returns The folder.
 * @throws {RangeError} If the dataset does not have the split.
 */
export function splitDirectory(
  directory: string,
  split: string,
  manifest: Manifest,
): string {
  if (!(split in manifest.splits)) {
    throw new RangeError(
      `Cannot read dataset ${directory}: it has no split ${split}, expected ` +
        `one of ${Object.keys(manifest.splits).join(", ")}`,
    );
  }
  return existsSync(join(directory, "dataset_dict.json"))
    ? join(directory, split)
    : directory;
}

/**
 * The shards that a split's state.json names.
 *
 * @param directory The split's folder.
 * @returns Paths, in order.
 * @throws {SyntaxError} If state.json is missing or is none.
 */
export function shardPaths(directory: string): string[] {
  const path = join(directory, "state.json");
  try {
    const state = JSON.parse(Deno.readTextFileSync(path));
    return state._data_files.map(({ filename }: { filename: string }) =>
      join(directory, filename)
    );
  } catch (cause) {
    throw new SyntaxError(
      `Cannot read ${path}: expected the state of a saved dataset`,
      { cause },
    );
  }
}

/**
 * Write the two files that `datasets.load_from_disk` wants beside the shards.
 *
 * @param directory The split's folder.
 * @param split The split's name.
 * @param files Names of the shards.
 * @param seed Whatever identifies the content.
 */
export function describeSplit(
  directory: string,
  split: string,
  files: readonly string[],
  seed: string,
): void {
  const fingerprint = createHash("sha256").update(`${seed}\0${split}`);
  writeJson(join(directory, "dataset_info.json"), {
    citation: "",
    description: "",
    features: null,
    homepage: "",
    license: "",
  });
  writeJson(join(directory, "state.json"), {
    _data_files: files.map((filename) => ({ filename })),
    _fingerprint: fingerprint.digest("hex").slice(0, 16),
    _format_columns: null,
    _format_kwargs: {},
    _format_type: null,
    _output_all_columns: false,
    _split: split,
  });
}

/**
 * Write a JSON file whole or not at all.
 *
 * @param path The file.
 * @param content What to write.
 * @throws {Error} If it cannot be written, naming the file.
 */
export function writeJson(path: string, content: object): void {
  const temporary = `${path}.tmp`;
  attempt(path, () => {
    Deno.writeTextFileSync(temporary, JSON.stringify(content, null, 2) + "\n");
    Deno.renameSync(temporary, path);
  }, temporary);
}

/**
 * Do something to a file; on failure say which file and remove what is left of it.
 *
 * @param path Named in the error.
 * @param action What to do.
 * @param temporary Removed on failure.
 * @returns What `action` returns.
 * @throws {Error} If `action` throws.
 */
export function attempt<T>(
  path: string,
  action: () => T,
  temporary?: string,
): T {
  try {
    return action();
  } catch (error) {
    if (temporary) removeIfThere(temporary);
    throw new Error(`Cannot write ${path}: ${(error as Error).message}`);
  }
}

/**
 * Remove a file that may not exist.
 *
 * @param path The file.
 */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function digits(number: number): string {
  return String(number).padStart(5, "0");
}
