import { type Block } from "#/stages/split/cut_text.ts";
import type { Switches } from "#/stages/reference_switches.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

/** What published splitting does that is thought to be wrong, one switch each. */
export const splitDefects = {
  "token-slices":
    "long documents are cut into slices of the tokenizer that needs most tokens, which are decoded again: spaces and characters at the cuts change, special tokens vanish, and a slice may be too long for another model",
  "fixed-slack":
    "a slice leaves room for 48 tokens, however many may come, not for BOS and EOS; with token-slices",
  "space-clean-up":
    "decoding by tokenizers without a virtual space deletes spaces before punctuation; with token-slices",
} as const;

/** Which of them are switched on. */
export type SplitDefects = Switches<typeof splitDefects>;

/** Tokens that the published code leaves free. */
const SLACK = 48;

/**
 * Cut a text as published: into slices of tokens, decoded.
 *
 * A text that no tokenizer finds longer than a slice stays as it is. Of
 * tokenizers that need equally many tokens the first counts. What comes out need
 * not concatenate to the text.
 *
 * @param text Any text.
 * @param tokenizers The target's first, then the sources'.
 * @param maxTokens Limit for the tokenizer that needs most.
 * @param defects Which defects to reproduce, beside `token-slices`.
 * @returns The blocks in order.
 * @throws {RangeError} If `maxTokens` leaves no room.
 */
export function sliceTokens(
  text: string,
  tokenizers: readonly Tokenizer[],
  maxTokens: number,
  defects: Omit<SplitDefects, "token-slices">,
): Block[] {
  const length = maxTokens - (defects["fixed-slack"] ? SLACK : 2);
  if (length < 1) {
    throw new RangeError(
      `Cannot slice tokens: ${maxTokens} leave no room, expected more than ` +
        `${maxTokens - length}`,
    );
  }
  if (text === "") return [];
  const encodings = tokenizers.map((each) => each.encode(text).ids);
  const most = Math.max(...encodings.map(({ length }) => length));
  if (most <= length) return [block(text, encodings[0]!.length)];
  const which = encodings.findIndex((ids) => ids.length === most);
  const ids = encodings[which]!;
  const blocks: Block[] = [];
  for (let start = 0; start < ids.length; start += length) {
    const piece = decoded(
      tokenizers[which]!,
      ids.subarray(start, start + length),
      defects,
    );
    if (piece === "") continue;
    blocks.push(block(piece, tokenizers[0]!.encode(piece).ids.length));
  }
  return blocks;
}

function block(text: string, tokens: number): Block {
  return { text, tokens, isCommon: true };
}

function decoded(
  tokenizer: Tokenizer,
  ids: Int32Array,
  defects: Omit<SplitDefects, "token-slices">,
): string {
  const text = tokenizer.decode(ids);
  return defects["space-clean-up"] && !tokenizer.prefixSpace
    ? cleanUp(text)
    : text;
}

/** As Hugging Face's decoders do unless told otherwise. */
function cleanUp(text: string): string {
  return [".", "?", "!", ","]
    .reduce((all, mark) => all.replaceAll(` ${mark}`, mark), text)
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replace(/ '(m|s|ve|re)/g, "'$1");
}
