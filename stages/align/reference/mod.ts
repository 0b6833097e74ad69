/**
 * FuseLLM and PTA-LLM as published, to the bit, with one switch for each thing
 * that is thought to be wrong with them.
 *
 * @module
 */

export {
  type AlignReferenceOptions,
  referenceAligner,
  referenceMethods,
  type ReferenceRow,
  type ReferenceTokenizer,
} from "./align_reference.ts";
export {
  asPublished,
  corrected,
  type ReferenceDefect,
  type ReferenceDefects,
  referenceDefects,
  withDefects,
} from "./reference_defects.ts";
export { dtw, type Warping, type WarpingCost } from "#/stages/dtw.ts";
export {
  type ReferencePlan,
  type ReferenceProblem,
  referenceSinkhorn,
  type ReferenceSinkhornOptions,
} from "./reference_sinkhorn.ts";
export {
  type TransformOptions,
  transformStepLogits,
} from "./transform_step_logits.ts";
export {
  transformStepLogitsOt,
  type TransportStepOptions,
} from "./transform_step_logits_ot.ts";
export { collate, type CollatedStep, type CollateOptions } from "./collate.ts";
export {
  type AlignedStep,
  type Candidate,
  type StepLogits,
} from "./step_logits.ts";
export {
  type SpelledVocabulary,
  SpellingRelation,
  type WordMarker,
  wordMarker,
} from "./spelling_relation.ts";
