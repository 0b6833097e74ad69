/**
 * Split: documents → blocks that fit every tokenizer, losing nothing.
 *
 * @module
 */
export { split, type SplitOptions } from "./split.ts";
export { type Block, cutText } from "./cut_text.ts";
export {
  sliceTokens,
  type SplitDefects,
  splitDefects,
} from "./reference/slice_tokens.ts";
export {
  type Choice,
  type ChoiceOptions,
  chooseDocument,
} from "./document_choice.ts";
