import { join, resolve } from "node:path";
import { INDEX, isPresent, SINGLE } from "./checkpoint.ts";
import { DTYPE_BITS, ENCODERS, type StorageDtype } from "./dtypes.ts";
import type { Weight } from "./safetensors.ts";
import { writeSafetensors } from "./write_safetensors.ts";

/**
 * Save a model: config.json and model.safetensors, or shards and an index. A
 * directory that is not there yet appears at once, with everything in it; in
 * one that is, every file is replaced as a whole and other files stay.
 *
 * @param directory The model directory.
 * @param config config.json, verbatim but for the type the weights are stored in.
 * @param weights Weights by Hugging Face name.
 * @param options `dtype` of the stored weights, f32 by default; `maxShardBytes`,
 * the largest file, 5 GB by default.
 */
export async function saveCheckpoint(
  directory: string,
  config: Record<string, unknown>,
  weights: ReadonlyMap<string, Weight>,
  options: { dtype?: StorageDtype; maxShardBytes?: number } = {},
): Promise<void> {
  const exists = await isPresent(directory);
  const folder = exists ? directory : `${resolve(directory)}.${Deno.pid}.tmp`;
  await Deno.mkdir(folder, { recursive: true });
  try {
    await writeWeights(folder, weights, options);
    await writeJson(join(folder, "config.json"), {
      ...config,
      ["dtype" in config ? "dtype" : "torch_dtype"]:
        TORCH_NAMES[options.dtype ?? "f32"],
    });
    if (!exists) await Deno.rename(folder, directory);
  } catch (error) {
    if (!exists) await Deno.remove(folder, { recursive: true }).catch(() => {});
    throw error;
  }
}

const TORCH_NAMES = {
  f32: "float32",
  bf16: "bfloat16",
  f16: "float16",
} satisfies Record<StorageDtype, string>;

async function writeWeights(
  folder: string,
  weights: ReadonlyMap<string, Weight>,
  options: { dtype?: StorageDtype; maxShardBytes?: number },
): Promise<void> {
  const { dtype = "f32", maxShardBytes = 5e9 } = options;
  const bytesPerEntry = DTYPE_BITS[ENCODERS[dtype].dtype] / 8;
  const shards = cutShards(weights, maxShardBytes / bytesPerEntry);
  if (shards.length === 1) {
    await writeSafetensors(join(folder, SINGLE), weights, { dtype });
    await removeShards(folder, new Set());
    return;
  }
  // Without its index a half-replaced set of shards does not look complete.
  await removeFile(join(folder, INDEX));
  const map: Record<string, string> = {};
  let totalSize = 0;
  for (const [i, shard] of shards.entries()) {
    const name = shardName(i + 1, shards.length);
    await writeSafetensors(join(folder, name), shard, { dtype });
    for (const [weight, { data }] of shard) {
      map[weight] = name;
      totalSize += data.length * bytesPerEntry;
    }
  }
  await removeFile(join(folder, SINGLE));
  await writeJson(join(folder, INDEX), {
    metadata: { total_size: totalSize },
    weight_map: map,
  });
  await removeShards(folder, new Set(Object.values(map)));
}

function cutShards(
  weights: ReadonlyMap<string, Weight>,
  maxEntries: number,
): Map<string, Weight>[] {
  const shards = [new Map<string, Weight>()];
  let entries = 0;
  for (const [name, weight] of weights) {
    if (entries > 0 && entries + weight.data.length > maxEntries) {
      shards.push(new Map());
      entries = 0;
    }
    shards.at(-1)!.set(name, weight);
    entries += weight.data.length;
  }
  return shards;
}

function shardName(number: number, count: number): string {
  const digits = (value: number) => String(value).padStart(5, "0");
  return `model-${digits(number)}-of-${digits(count)}.safetensors`;
}

/** Drops the shards of an earlier save, and their index where none are kept. */
async function removeShards(
  folder: string,
  keep: ReadonlySet<string>,
): Promise<void> {
  if (keep.size === 0) await removeFile(join(folder, INDEX));
  for await (const { name } of Deno.readDir(folder)) {
    const isShard = /^model-\d{5}-of-\d{5}\.safetensors$/.test(name);
    if (isShard && !keep.has(name)) await removeFile(join(folder, name));
  }
}

async function removeFile(file: string): Promise<void> {
  await Deno.remove(file).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

async function writeJson(file: string, value: unknown): Promise<void> {
  const temporary = `${file}.${Deno.pid}.tmp`;
  await Deno.writeTextFile(temporary, JSON.stringify(value, null, 2) + "\n");
  await Deno.rename(temporary, file);
}
