import { join } from "node:path";
import { type ModelConfig, readConfig } from "#/models/mod.ts";

/** A model to train. */
export interface ModelSource extends ModelConfig {
  /** Directory of its weights; without it they are drawn. */
  weights: string | undefined;
  /** Directory of its tokenizer. */
  tokenizer: string;
}

/**
 * Say which model to train.
 *
 * @param choice `model`, a model directory; `fromScratch` draws its weights anew;
 * or, in its place, `config`, a config.json, and `tokenizer`, a directory.
 * @returns The model; weights stay on disk.
 * @throws {Deno.errors.NotFound} If a file is missing.
 * @throws {SyntaxError} If config.json is not one of a model.
 */
export async function openModel(choice: {
  model?: string | undefined;
  fromScratch?: boolean | undefined;
  config?: string | undefined;
  tokenizer?: string | undefined;
}): Promise<ModelSource> {
  const { model, fromScratch = false, config, tokenizer = model } = choice;
  if (!tokenizer) {
    throw new RangeError(
      "Cannot train: expected a model directory, or a config and a tokenizer",
    );
  }
  const described = config
    ? await readConfigFile(config)
    : await readConfig(model ?? tokenizer);
  const isFresh = fromScratch || !model || config !== undefined;
  return { ...described, weights: isFresh ? undefined : model, tokenizer };
}

/**
 * Copy the files of a tokenizer that are there.
 *
 * @param from A model directory.
 * @param to Another.
 */
export async function copyTokenizer(from: string, to: string): Promise<void> {
  for (const name of TOKENIZER_FILES) {
    await Deno.copyFile(join(from, name), join(to, name)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "tokenizer.model",
  "vocab.json",
  "merges.txt",
  "generation_config.json",
];

/** A config.json under whatever name: it is read as that of its own directory. */
async function readConfigFile(file: string): Promise<ModelConfig> {
  const directory = await Deno.makeTempDir({ prefix: "pta-config-" });
  try {
    await Deno.copyFile(file, join(directory, "config.json")).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new Deno.errors.NotFound(
        `Cannot read config ${file}: there is no such file`,
      );
    });
    return { ...await readConfig(directory), directory: file };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
