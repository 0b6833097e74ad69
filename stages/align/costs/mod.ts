/**
 * What it costs to move mass from a source token to a target token. To add a
 * cost, add a file and a row of {@linkcode costs}; the law tests iterate over
 * the table.
 *
 * @module
 */

import { byteEditDistance } from "./byte_edit_distance.ts";
import type { Cost } from "./cost.ts";
import { embedding } from "./embedding.ts";
import { firstPiece } from "./first_piece.ts";
import { prefixOverlap } from "./prefix_overlap.ts";

export type { Cost, CostInputs, Embeddings, TokenCost } from "./cost.ts";

/** Every cost, by the name `--cost` takes. */
export const costs = {
  "byte-edit-distance": byteEditDistance,
  "prefix-overlap": prefixOverlap,
  "first-piece": firstPiece,
  "embedding": embedding,
} satisfies Record<string, Cost>;

/** A name that `--cost` takes. */
export type CostName = keyof typeof costs;
