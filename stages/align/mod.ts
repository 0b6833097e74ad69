/**
 * Align: a source's distributions rewritten over the target's vocabulary, at
 * the target's positions.
 *
 * @module
 */
export { align, type AlignInputs, type AlignOptions } from "./align.ts";
export {
  type AlignMethod,
  type AlignMethodName,
  type Masses,
  methods as alignMethods,
  type Pair,
  type TransportOptions,
} from "./methods/mod.ts";
export { type PositionPairs, positionPairs } from "./position_pairs.ts";
export {
  type TokenImage,
  type TokenRelation,
  TokenRelations,
} from "./token_relations.ts";
