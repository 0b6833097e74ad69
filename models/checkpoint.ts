import { basename, join } from "node:path";
import { readSafetensorsHeader, type WeightInfo } from "./safetensors.ts";

/** What config.json says of a model. */
export interface ModelConfig {
  /** The model's directory, as given. */
  directory: string;
  /** config.json, verbatim. */
  config: Record<string, unknown>;
  /** Its `model_type`: the architecture. */
  modelType: string;
  /** Width of the logits, which may exceed the tokenizer's vocabulary. */
  vocabSize: number;
  /** Longest sequence; `Infinity` where config.json states none. */
  contextLength: number;
}

/** A model directory in Hugging Face layout, opened; weights stay on disk. */
export interface Checkpoint extends ModelConfig {
  /** Every weight by its Hugging Face name. */
  weights: ReadonlyMap<string, WeightInfo>;
}

/** The names that architectures give their longest sequence, first wins. */
const CONTEXT_KEYS = [
  "max_position_embeddings",
  "n_positions",
  "max_seq_len",
  "n_ctx",
  "seq_length",
] as const;

/** The one file of weights. */
export const SINGLE = "model.safetensors";
/** What names the shard of every weight. */
export const INDEX = "model.safetensors.index.json";

/**
 * Read a model directory's config.json.
 *
 * @param directory The model directory.
 * @returns The config and what every architecture's config says.
 * @throws {Deno.errors.NotFound} If there is no config.json.
 * @throws {SyntaxError} If it is not JSON, or has no model_type or vocab_size.
 */
export async function readConfig(directory: string): Promise<ModelConfig> {
  const file = join(directory, "config.json");
  const config = await readJson(file).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Deno.errors.NotFound(
      `Cannot open model ${directory}: it has no config.json`,
    );
  });
  const { model_type: modelType, vocab_size: vocabSize } = config;
  if (typeof modelType !== "string" || modelType === "") {
    throw new SyntaxError(
      `Cannot open model ${directory}: config.json has no model_type`,
    );
  }
  if (!Number.isSafeInteger(vocabSize) || (vocabSize as number) < 1) {
    throw new SyntaxError(
      `Cannot open model ${directory}: vocab_size in config.json is ` +
        `${vocabSize}, expected a positive integer`,
    );
  }
  const key = CONTEXT_KEYS.find((key) => typeof config[key] === "number");
  return {
    directory,
    config,
    modelType,
    vocabSize: vocabSize as number,
    contextLength: key ? config[key] as number : Infinity,
  };
}

/**
 * Open a model directory: config.json, and model.safetensors or its shards by
 * model.safetensors.index.json. Only headers are read. Links are followed, so
 * a snapshot of the Hugging Face cache opens as it is.
 *
 * @param directory The model directory.
 * @returns The checkpoint; read its weights with {@linkcode readWeight}.
 * @throws {Deno.errors.NotFound} If config.json, the weights or a shard are missing.
 * @throws {SyntaxError} If a file is damaged or the index names a weight that
 * its shard does not hold.
 */
export async function openCheckpoint(directory: string): Promise<Checkpoint> {
  const config = await readConfig(directory);
  return { ...config, weights: await findWeights(directory) };
}

async function findWeights(
  directory: string,
): Promise<ReadonlyMap<string, WeightInfo>> {
  const single = join(directory, SINGLE);
  if (await isPresent(single)) {
    return (await readSafetensorsHeader(single)).weights;
  }
  const index = join(directory, INDEX);
  if (await isPresent(index)) return await readShards(directory, index);
  throw new Deno.errors.NotFound(
    `Cannot open model ${directory}: it has neither ${SINGLE} nor ${INDEX}` +
      await otherWeights(directory),
  );
}

async function otherWeights(directory: string): Promise<string> {
  const others: string[] = [];
  for await (const { name } of Deno.readDir(directory)) {
    if (/\.(bin|pth?|gguf|h5|msgpack)$|\.safetensors$/.test(name)) {
      others.push(name);
    }
  }
  return others.length ? `, only ${others.sort().join(", ")}` : "";
}

async function readShards(
  directory: string,
  index: string,
): Promise<ReadonlyMap<string, WeightInfo>> {
  const { weight_map: map } = await readJson(index);
  if (typeof map !== "object" || !map || Array.isArray(map)) {
    throw new SyntaxError(`Cannot read ${index}: it has no weight_map`);
  }
  const entries = Object.entries(map as Record<string, unknown>);
  const shards = new Map<string, ReadonlyMap<string, WeightInfo>>();
  for (const name of new Set(entries.map(([, shard]) => shard))) {
    if (typeof name !== "string" || basename(name) !== name) {
      throw new SyntaxError(
        `Cannot read ${index}: it names the shard ${JSON.stringify(name)}, ` +
          `expected a file of its directory`,
      );
    }
    shards.set(name, await readShard(index, join(directory, name)));
  }
  return new Map(entries.map(([weight, shard]) => {
    const info = shards.get(shard as string)!.get(weight);
    if (info) return [weight, info];
    throw new SyntaxError(
      `Cannot read ${index}: weight "${weight}" is not in its shard ${shard}`,
    );
  }));
}

async function readShard(
  index: string,
  file: string,
): Promise<ReadonlyMap<string, WeightInfo>> {
  if (!await isPresent(file)) {
    throw new Deno.errors.NotFound(
      `Cannot read ${index}: its shard ${basename(file)} is missing`,
    );
  }
  return (await readSafetensorsHeader(file)).weights;
}

/**
 * Whether a path leads to something.
 *
 * @param path A path; links are followed.
 * @returns False if there is nothing.
 */
export async function isPresent(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
}

/**
 * Read a JSON file that holds an object.
 *
 * @param file Its path.
 * @returns The object.
 * @throws {SyntaxError} If it is not JSON, or not an object.
 */
export async function readJson(file: string): Promise<Record<string, unknown>> {
  const text = await Deno.readTextFile(file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`Cannot read ${file}: it is not JSON`, { cause });
  }
  if (typeof value !== "object" || !value || Array.isArray(value)) {
    throw new SyntaxError(`Cannot read ${file}: it is not a JSON object`);
  }
  return value as Record<string, unknown>;
}
