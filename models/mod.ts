/**
 * Models: Hugging Face directories in and out, and the architectures they may
 * be of, as functions of config.json that score, generate and train.
 *
 * @module
 */

export * from "./dtypes.ts";
export * from "./safetensors.ts";
export * from "./write_safetensors.ts";
export * from "./checkpoint.ts";
export * from "./save_checkpoint.ts";
export * from "./hub.ts";
export * from "./config.ts";
export * from "./tiles.ts";
export * from "./tiled_graphs.ts";
export * from "./trace.ts";
export * from "./description.ts";
export * from "./architectures.ts";
export * from "./weights.ts";
export * from "./loss_head.ts";
export * from "./training.ts";
export type { PartOptions } from "./block_parts.ts";
export * from "./blockwise.ts";
export * from "./initial_weights.ts";
export * from "./frozen.ts";
export * from "./run_options.ts";
export * from "./scorer.ts";
export * from "./generator.ts";
