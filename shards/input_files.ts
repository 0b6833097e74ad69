import { glob, readdir } from "node:fs/promises";
import { join } from "node:path";

/** Magic of a glob pattern; a path that exists is never taken for a pattern. */
const PATTERN = /[*?[\]{}]/;

/**
 * The files that paths stand for: a file itself, a directory all files below
 * it, a glob pattern the files it matches.
 *
 * Hidden files and directories are left out of directories. Files come in the
 * order of the paths, and sorted by name within one path.
 *
 * @param paths Files, directories, glob patterns.
 * @param keepDirectory Whether a directory stays whole instead of its files.
 * @returns The files, and the directories kept.
 * @throws {Error} If a path does not exist or a pattern matches nothing.
 */
export async function inputFiles(
  paths: readonly string[],
  keepDirectory: (directory: string) => boolean = () => false,
): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    const info = await stat(path);
    if (!info && !PATTERN.test(path)) {
      throw new Error(`Cannot read ${path}: no such file or directory`);
    }
    const matches = info ? [path] : await Array.fromAsync(glob(path));
    if (matches.length === 0) {
      throw new Error(`Cannot read ${path}: no file matches the pattern`);
    }
    for (const match of matches.sort(byCodeUnits)) {
      await collect(match, keepDirectory, files);
    }
  }
  return [...new Set(files)];
}

async function collect(
  path: string,
  keepDirectory: (directory: string) => boolean,
  into: string[],
): Promise<void> {
  const isDirectory = (await Deno.stat(path)).isDirectory;
  if (!isDirectory || keepDirectory(path)) {
    into.push(path);
    return;
  }
  const names = (await readdir(path)).filter((name) => !name.startsWith("."));
  for (const name of names.sort(byCodeUnits)) {
    await collect(join(path, name), keepDirectory, into);
  }
}

async function stat(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The same order on every machine, unlike a locale's. */
function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
