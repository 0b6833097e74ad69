/**
 * Tokenizers of Hugging Face's tokenizer.json: ids, the bytes of every token,
 * exact byte offsets of an encoding, special tokens by role.
 *
 * The encoder is `@huggingface/tokenizers`; what it does not know, which text a
 * token stands for, is computed here.
 *
 * @module
 */
export {
  loadTokenizer,
  loadVocabulary,
  startId,
  tokenizerHash,
} from "./tokenizer.ts";
export type { Encoding, Tokenizer } from "./tokenizer.ts";
export type { SpecialRoles } from "./special_tokens.ts";
export {
  vocabularyOf,
  type VocabularyTable,
  vocabularyTable,
} from "./vocabulary_table.ts";
