import type { Tokenizer } from "#/tokenizers/mod.ts";

/**
 * What it costs to move mass between two tokens that stand for bytes.
 *
 * Whatever it says, an exact image costs 0 and any other token at least 1.
 *
 * @param from Bytes of the source token, at least one.
 * @param to Bytes of the target token, at least one.
 * @returns The cost, in edits.
 */
export type TokenCost = (from: Uint8Array, to: Uint8Array) => number;

/**
 * Prepares a cost.
 *
 * @param target The target's tokenizer.
 * @returns The cost.
 */
export type CostMaker = (target: Tokenizer) => TokenCost;
