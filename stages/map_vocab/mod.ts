/**
 * Map the vocabulary: which tokens of the target stand for a token of a source.
 *
 * @module
 */
export { mapVocab, type MapVocabOptions, VocabMapper } from "./map_vocab.ts";
export {
  type Image,
  type MapInputs,
  type MapMethod,
  type MapMethodFacts,
  type MapMethodName,
  type MapSetting,
  type MapSettings,
  methods as mapMethods,
  type TokenMapper,
  type TokenMethod,
  type TokenWorkers,
  type VocabularyMapper,
  type VocabularyMethod,
} from "./methods/mod.ts";
export {
  type MappedVocabulary,
  type MappingDefects,
  mappingDefects,
  mapReference,
  type Tie,
  withMappingDefects,
} from "./reference/map_reference.ts";
export type { ByteVocabulary } from "#/stages/byte_vocabulary.ts";
