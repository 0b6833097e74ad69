/**
 * Align: a source's distributions rewritten over the target's vocabulary, at
 * the target's positions.
 *
 * @module
 */
export { align, type AlignInputs, type AlignOptions } from "./align.ts";
export {
  type Cost,
  type CostInputs,
  type CostName,
  costs as alignCosts,
  type Embeddings,
  type TokenCost,
} from "./costs/mod.ts";
export { type AlignedPairs, type Evidence, EvidenceTally } from "./evidence.ts";
export {
  type AlignBlocks,
  type AlignedBlock,
  type AlignMethod,
  type AlignMethodFacts,
  type AlignMethodName,
  type AlignPairs,
  type AlignSetting,
  type BlockMethod,
  type BlockOptions,
  type MappedVocabularies,
  type Masses,
  methods as alignMethods,
  type Pair,
  type PairMethod,
  type TransportOptions,
} from "./methods/mod.ts";
export * from "./reference/mod.ts";
export { type PositionPairs, positionPairs } from "./position_pairs.ts";
export { readEmbeddings } from "./read_embeddings.ts";
export {
  type RelationOptions,
  type TokenImage,
  type TokenRelation,
  TokenRelations,
} from "./token_relations.ts";
