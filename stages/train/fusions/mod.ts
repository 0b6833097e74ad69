/**
 * Fusion functions: several teachers' distributions at a row in, the one it
 * learns from out. A new one is a file and a line in {@linkcode fusions}.
 *
 * @module
 */

import { avgCe } from "#/stages/train/fusions/avg_ce.ts";
import { minCe } from "#/stages/train/fusions/min_ce.ts";
import {
  byDocument,
  byEntropy,
  byMaxProb,
  bySpan,
  byToken,
} from "#/stages/train/fusions/scores.ts";
import {
  referenceAvgCe,
  referenceMinCe,
} from "#/stages/train/reference/reference_fusion.ts";
import type { Fusion } from "#/stages/train/fusions/sparse.ts";
import { sum } from "#/stages/train/fusions/sum.ts";

export * from "./sparse.ts";
export * from "./scores.ts";
export * from "./mixture.ts";
export * from "./avg_ce.ts";
export * from "./min_ce.ts";
export { sum as sumOfLosses } from "./sum.ts";

/** A fusion by the name `--fusion` takes. */
export type FusionName =
  | "min-ce"
  | "min-ce-span"
  | "min-ce-token"
  | "avg-ce"
  | "avg-ce-span"
  | "avg-ce-token"
  | "sum"
  | "confidence-entropy"
  | "confidence-max-prob";

/** The fusions by name. */
export const fusions: Record<FusionName, Fusion> = {
  "min-ce": { ...minCe(byDocument), published: referenceMinCe },
  "min-ce-span": { ...minCe(bySpan), spans: true },
  "min-ce-token": minCe(byToken),
  "avg-ce": { ...avgCe(byDocument), published: referenceAvgCe },
  "avg-ce-span": { ...avgCe(bySpan), spans: true },
  "avg-ce-token": avgCe(byToken),
  "sum": sum,
  "confidence-entropy": avgCe(byEntropy),
  "confidence-max-prob": avgCe(byMaxProb),
};
