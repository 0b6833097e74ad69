/**
 * Generate: continue a text, token by token.
 *
 * @module
 */
export {
  generate,
  type GeneratedToken,
  type GenerateModel,
  type GenerateOptions,
} from "./generate.ts";
export type { SamplingOptions } from "./sampling.ts";
