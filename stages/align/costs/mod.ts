/**
 * What it costs to move mass from a source token to a target token. To add a
 * cost, add a file and a row of {@linkcode costs}; the law tests iterate over
 * the table.
 *
 * @module
 */

import { editDistance } from "#/kernels/mod.ts";
import type { CostMaker } from "./cost.ts";
import { firstPiece } from "./first_piece.ts";
import { prefixOverlap } from "./prefix_overlap.ts";

export type { CostMaker, TokenCost } from "./cost.ts";

/** Every cost, by the name `--cost` takes. */
export const costs = {
  "byte-edit-distance": () => editDistance,
  "prefix-overlap": prefixOverlap,
  "first-piece": firstPiece,
} satisfies Record<string, CostMaker>;

/** A name that `--cost` takes. */
export type CostName = keyof typeof costs;
