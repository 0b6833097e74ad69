import type { Tokenizer } from "#/tokenizers/mod.ts";
import { type Block, cutText } from "./cut_text.ts";
import { sliceTokens, type SplitDefects } from "./reference/slice_tokens.ts";

/**
 * Cut a document, losing nothing or as published.
 *
 * @param text The document.
 * @param tokenizers The target's first, then the sources'.
 * @param options Limit for each, and what to do as published.
 * @returns The blocks in order.
 * @throws {RangeError} If the limit is too small.
 */
export function cutDocument(
  text: string,
  tokenizers: readonly Tokenizer[],
  { maxTokens, defects }: { maxTokens: number; defects: SplitDefects },
): Block[] {
  return defects["token-slices"]
    ? sliceTokens(text, tokenizers, maxTokens, defects)
    : cutText(text, tokenizers, maxTokens);
}
