import type { InputDocument, TextRow } from "#/shards/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { type Block, cutText } from "./cut_text.ts";
import { mapInOrder } from "#/stages/map_in_order.ts";

/** How documents are split. */
export interface SplitOptions {
  /** Tokens of a block at most, for each tokenizer. Defaults to 2048. */
  maxTokens?: number;
  /** Cuts a text elsewhere, such as in workers. Defaults to here. */
  cut?: (text: string) => Block[] | Promise<Block[]>;
  /** Documents being cut at the same time. Defaults to 1. */
  concurrency?: number;
  /** Called when a document has been cut. */
  onDocument?: (document: InputDocument, blocks: readonly Block[]) => void;
}

/**
 * Split documents into blocks that fit every tokenizer.
 *
 * The blocks of a document concatenate to it; see {@linkcode cutText} for where
 * they end. An empty document has no blocks.
 *
 * @param documents The documents.
 * @param tokenizers The target's first, then the sources'.
 * @param options See {@linkcode SplitOptions}.
 * @returns The blocks, in the order of the documents.
 * @throws {RangeError} If `maxTokens` is too small for a document's code point.
 */
export async function* split(
  documents: AsyncIterable<InputDocument> | Iterable<InputDocument>,
  tokenizers: readonly Tokenizer[],
  options: SplitOptions = {},
): AsyncGenerator<TextRow> {
  const { maxTokens = 2048, concurrency = 1, onDocument } = options;
  const cut = options.cut ??
    ((text: string) => cutText(text, tokenizers, maxTokens));
  const results = mapInOrder(documents, concurrency, async (document) => {
    try {
      return { document, blocks: await cut(document.text) };
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new RangeError(
        `Cannot split document ${document.row} of ${document.file}: ${reason}`,
        { cause },
      );
    }
  });
  for await (const { document, blocks } of results) {
    onDocument?.(document, blocks);
    for (const [index, { text }] of blocks.entries()) {
      yield {
        id: `${document.id}#${index}`,
        document: document.id,
        block: index,
        last: index === blocks.length - 1,
        text,
      };
    }
  }
}
