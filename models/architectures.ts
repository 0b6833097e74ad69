import { Config } from "./config.ts";
import type { Architecture, Description } from "./description.ts";
import { gpt2 } from "./gpt2.ts";
import { gptNeox } from "./gpt_neox.ts";
import { llama, mistral } from "./llama.ts";
import { mpt } from "./mpt.ts";

/** Architectures by config.json's `model_type`. */
export const architectures: Readonly<Record<string, Architecture>> = {
  llama,
  mistral,
  gpt2,
  gpt_neox: gptNeox,
  mpt,
};

/** A model's description and the family it is of. */
export interface Model extends Description {
  /** Its family. */
  readonly architecture: Architecture;
}

/**
 * Read a model's config.
 *
 * @param config config.json, verbatim.
 * @returns The model's description.
 * @throws {RangeError} If its model_type is not in the table, or a field has a
 * value that is not supported.
 */
export function describeModel(config: Record<string, unknown>): Model {
  const fields = new Config(config);
  const names = Object.keys(architectures);
  const type = String(config.model_type);
  const architecture = Object.hasOwn(architectures, type)
    ? architectures[type]
    : undefined;
  if (!architecture) {
    throw fields.error("model_type", `one of ${names.join(", ")}`);
  }
  return { ...architecture.describe(fields), architecture };
}
