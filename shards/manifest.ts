import { existsSync } from "node:fs";
import { join } from "node:path";
import { canonicalJson, plain } from "#/shards/canonical_json.ts";
import config from "#/deno.json" with { type: "json" };

/** What was run on what: equal identities mean equal datasets. */
export interface Identity {
  /** Name of the stage. */
  stage: string;
  /** Its options, as plain JSON. */
  options: Record<string, unknown>;
  /** sha256 of every input by name; see `hashInput()`. */
  inputs: Record<string, string>;
}

/** What `manifest.json` holds. It is written last: a manifest means complete. */
export interface Manifest extends Identity {
  /** Rows in all splits. */
  rows: number;
  /** Tokens in all splits. */
  tokens: number;
  /** How long the last run that worked on the dataset took. */
  seconds: number;
  /** Deno, this package and the packages that made the data. */
  versions: Record<string, string>;
  /** What else the stage has to say. */
  metadata?: Record<string, unknown>;
  /** Rows by split; a dataset without splits has `train` only. */
  splits: Record<string, number>;
}

const MAKERS = [
  "@huggingface/tokenizers",
  "@huggingface/transformers",
  "apache-arrow",
  "hyparquet",
  "onnxruntime-node",
] as const;

/**
 * Read the manifest of a complete dataset.
 *
 * @param directory The dataset.
 * @returns Its manifest.
 * @throws {Error} If there is none, so that the dataset is not complete.
 * @throws {SyntaxError} If it is not a manifest.
 */
export async function readManifest(directory: string): Promise<Manifest> {
  const path = join(directory, "manifest.json");
  if (!existsSync(path)) {
    const why = existsSync(join(directory, "partial.json"))
      ? "it is not complete: the run that makes it has not ended, start it again to go on"
      : existsSync(directory)
      ? Deno.statSync(directory).isDirectory
        ? "it is not complete: there is no manifest.json"
        : "it is a file, expected the directory that a stage has written"
      : "no such directory";
    throw new Error(`Cannot read dataset ${directory}: ${why}`);
  }
  const manifest = parseManifest(path, await Deno.readTextFile(path));
  if (typeof manifest.rows !== "number" || !manifest.splits) {
    throw new SyntaxError(
      `Cannot read ${path}: it lacks rows or splits, expected the manifest of a dataset`,
    );
  }
  return manifest;
}

/**
 * Read a manifest or what was written of one.
 *
 * @param path Named in errors.
 * @param text The file's text.
 * @returns Its content.
 * @throws {SyntaxError} If it is not a JSON object with stage, options, inputs.
 */
export function parseManifest(path: string, text: string): Manifest {
  let content: Manifest;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`Cannot read ${path}: it is not JSON`, { cause });
  }
  if (!content?.stage || !content.options || !content.inputs) {
    throw new SyntaxError(
      `Cannot read ${path}: it lacks stage, options or inputs, expected a manifest`,
    );
  }
  return content;
}

/**
 * Put an identity into the form it has when it is read back.
 *
 * @param identity Stage, options and input hashes.
 * @returns The same in plain JSON types.
 */
export function normalized({ stage, options, inputs }: Identity): Identity {
  return plain({ stage, options, inputs }) as Identity;
}

/**
 * Say how a dataset differs from the one asked for.
 *
 * @param found What lies in the directory.
 * @param wanted What is asked for.
 * @returns One phrase per difference; none if they are the same.
 */
export function differences(found: Identity, wanted: Identity): string[] {
  if (found.stage !== wanted.stage) {
    return [`stage is ${found.stage}, expected ${wanted.stage}`];
  }
  return (["options", "inputs"] as const).flatMap((part) => {
    const names = new Set([
      ...Object.keys(found[part]),
      ...Object.keys(wanted[part]),
    ]);
    return [...names].flatMap((name) => {
      const is = canonicalJson(found[part][name]) ?? "absent";
      const want = canonicalJson(wanted[part][name]) ?? "absent";
      return is === want ? [] : `${part}.${name} is ${is}, expected ${want}`;
    });
  });
}

/**
 * The versions that make the data.
 *
 * @returns Deno's, this package's and those of the packages involved.
 */
export function versions(): Record<string, string> {
  const packages = MAKERS.map((name) => [
    name,
    config.imports[name].slice(config.imports[name].lastIndexOf("@") + 1),
  ]);
  return {
    deno: Deno.version.deno,
    [config.name]: config.version,
    ...Object.fromEntries(packages),
  };
}
