/**
 * Map the vocabulary: which tokens of the target stand for a token of a source.
 *
 * @module
 */
export { mapVocab, type MapVocabOptions } from "./map_vocab.ts";
export {
  type Image,
  type MapMethod,
  type MapMethodName,
  methods as mapMethods,
} from "./methods/mod.ts";
export type { ByteVocabulary } from "#/stages/byte_vocabulary.ts";
