import { existsSync } from "node:fs";
import { join } from "node:path";

/**
 * The files that decide what a tokenizer does, for hashes of a stage's inputs:
 * two models with equal ones share what depends on the tokenizer alone.
 *
 * @param directory A model directory.
 * @returns Paths of tokenizer.json and of the files that name special tokens.
 */
export function tokenizerFiles(directory: string): string[] {
  return ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
    .map((name) => join(directory, name))
    .filter((path, i) => i === 0 || existsSync(path));
}
