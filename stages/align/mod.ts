/**
 * Align: a source's distributions rewritten over the target's vocabulary, at
 * the target's positions.
 *
 * @module
 */
export {
  align,
  alignBy,
  type AlignInputs,
  type AlignOptions,
  type AlignStreamOptions,
  type FacingRows,
} from "./align.ts";
export {
  type AlignedEvidence,
  type Aligner,
  type AlignVocabularies,
  BlockAligner,
  type BlockAlignerOptions,
} from "./block_aligner.ts";
export {
  type Cost,
  type CostInputs,
  type CostName,
  costs as alignCosts,
  type Embeddings,
  type TokenCost,
} from "./costs/mod.ts";
export {
  type AlignedPairs,
  countEvidence,
  type Evidence,
  type EvidenceCounts,
  EvidenceTally,
} from "./evidence.ts";
export type { JoinedRows } from "./join_rows.ts";
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
  type Candidates,
  type MappedVocabularies,
  type Masses,
  methods as alignMethods,
  type Pair,
  type PairMethod,
  type SolvePairs,
  type TransportOptions,
} from "./methods/mod.ts";
export * from "./reference/mod.ts";
export { type PositionPairs, positionPairs } from "./position_pairs.ts";
export { readEmbeddings } from "./read_embeddings.ts";
export type { TokenImage, TokenRelation } from "./token_relation.ts";
export { type RelationOptions, TokenRelations } from "./token_relations.ts";
