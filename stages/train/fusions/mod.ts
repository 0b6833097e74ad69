/**
 * Fusion functions: several teachers' distributions at a row in, the one it
 * learns from out. A new one is a file and a line in {@linkcode fusions}.
 *
 * @module
 */

import { avgCe } from "#/stages/train/fusions/avg_ce.ts";
import { minCe } from "#/stages/train/fusions/min_ce.ts";
import type { Fusion } from "#/stages/train/fusions/sparse.ts";

export * from "./sparse.ts";
export * from "./avg_ce.ts";
export * from "./min_ce.ts";

/** A fusion by the name `--fusion` takes. */
export type FusionName = "min-ce" | "avg-ce";

/** The fusions by name. */
export const fusions: Record<FusionName, Fusion> = {
  "min-ce": minCe,
  "avg-ce": avgCe,
};
