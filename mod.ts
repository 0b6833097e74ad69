/**
 * Fuse language models that do not share a tokenizer: knowledge of several
 * source models is written into one target model.
 *
 * @module
 */

export * from "#/stages/mod.ts";
export * from "#/models/mod.ts";
export * from "#/tokenizers/mod.ts";
export * from "#/shards/mod.ts";
export * from "#/kernels/mod.ts";
