/**
 * The pipeline, a stage a folder, in the order in which they run. Every stage is
 * a function over rows and, in its `main.ts`, a command over directories.
 *
 * @module
 */

export {
  type Defects,
  switchedOn,
  type Switches,
  switchesOf,
} from "#/stages/reference_switches.ts";
export type { TopScorer } from "#/stages/scorer_pool.ts";
export * from "#/stages/split/mod.ts";
export * from "#/stages/represent/mod.ts";
export * from "#/stages/map_vocab/mod.ts";
export * from "#/stages/align/mod.ts";
export * from "#/stages/pack/pack.ts";
export * from "#/stages/train/train.ts";
export * from "#/stages/evaluate/mod.ts";
export * from "#/stages/generate/mod.ts";
export * from "#/stages/inspect/mod.ts";
