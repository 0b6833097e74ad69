import { createHash, type Hash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { canonicalJson } from "#/shards/canonical_json.ts";
import { inputFiles } from "#/shards/input_files.ts";

/** Weight files above this many bytes are hashed at samples, not whole. */
const SAMPLED = 64 * 2 ** 20;
const SAMPLES = 16;
const CHUNK = 2 ** 20;
const MODEL_FILES =
  /^(config|tokenizer|tokenizer_config|generation_config|special_tokens_map)\.json$|\.(safetensors|onnx|onnx_data)$|^model\.safetensors\.index\.json$/;

/**
 * The sha256 of something a stage reads, by content and never by place or time,
 * so that a moved or copied input is the same input.
 *
 * A dataset is hashed by its manifest without `seconds`. A model directory by
 * its configuration, tokenizer and weights, where of a weight file above 64 MiB
 * the size and sixteen chunks of 1 MiB spread over it count. Everything else by
 * names and whole contents of its files.
 *
 * @param paths One path, or the files, directories and patterns of one input.
 * @returns Hexadecimal digits.
 * @throws {Error} If a path does not exist.
 */
export async function hashInput(
  paths: string | readonly string[],
): Promise<string> {
  const hash = createHash("sha256");
  for (const path of typeof paths === "string" ? [paths] : paths) {
    if (existsSync(join(path, "manifest.json"))) hashManifest(hash, path);
    else if (existsSync(join(path, "config.json"))) await hashModel(hash, path);
    else await hashFiles(hash, path);
  }
  return hash.digest("hex");
}

function hashManifest(hash: Hash, directory: string): void {
  const text = Deno.readTextFileSync(join(directory, "manifest.json"));
  const { seconds: _, ...content } = JSON.parse(text);
  hash.update(canonicalJson(content));
}

async function hashModel(hash: Hash, directory: string): Promise<void> {
  for (const file of await inputFiles([directory])) {
    const name = basename(file);
    if (!MODEL_FILES.test(name)) continue;
    hash.update(`${relative(directory, file)}\0`);
    const isWeights = !name.endsWith(".json");
    hashFile(hash, file, isWeights ? SAMPLED : Infinity);
  }
}

async function hashFiles(hash: Hash, path: string): Promise<void> {
  for (const file of await inputFiles([path])) {
    hash.update(`${relative(path, file) || basename(path)}\0`);
    hashFile(hash, file, Infinity);
  }
}

function hashFile(hash: Hash, path: string, wholeUpTo: number): void {
  using file = Deno.openSync(path);
  const { size } = file.statSync();
  hash.update(`${size}\0`);
  const chunk = new Uint8Array(CHUNK);
  if (size <= wholeUpTo) {
    for (let n; (n = file.readSync(chunk)) !== null;) {
      hash.update(chunk.subarray(0, n));
    }
    return;
  }
  for (let sample = 0; sample < SAMPLES; sample++) {
    const offset = Math.floor((size - CHUNK) * sample / (SAMPLES - 1));
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let read = 0; read < CHUNK;) {
      const n = file.readSync(chunk.subarray(read));
      if (n === null) break;
      read += n;
    }
    hash.update(chunk);
  }
}
