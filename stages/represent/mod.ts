/**
 * Represent: what a model predicts at every position of a text, as top-k
 * logprobs over its whole vocabulary.
 *
 * @module
 */
export {
  represent,
  type RepresentDefects,
  representDefects,
  type RepresentModel,
  type RepresentOptions,
} from "./represent.ts";
