import { existsSync } from "node:fs";
import { join } from "node:path";

/** Files beside tokenizer.json that name special tokens. */
const NAMES = ["tokenizer_config.json", "special_tokens_map.json"];
/** Where neither is there, files that give their ids. */
const IDS = ["config.json", "generation_config.json"];

/**
 * The files that decide what a tokenizer does, for hashes of a stage's inputs:
 * two models with equal ones share what depends on the tokenizer alone.
 *
 * @param directory A model directory.
 * @returns Paths of tokenizer.json and of the files that name special tokens.
 */
export function tokenizerFiles(directory: string): string[] {
  const present = (names: readonly string[]) =>
    names.map((name) => join(directory, name)).filter((path) =>
      existsSync(path)
    );
  const names = present(NAMES);
  const others = names.length > 0 ? names : present(IDS);
  return [join(directory, "tokenizer.json"), ...others];
}
