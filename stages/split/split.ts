import type { InputDocument, TextRow } from "#/shards/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { type Block, cutText } from "./cut_text.ts";

/** How documents are split. */
export interface SplitOptions {
  /** Tokens of a block at most, for each tokenizer. Defaults to 2048. */
  maxTokens?: number;
  /** Cuts a text elsewhere, such as in workers. Defaults to here. */
  cut?: (text: string) => Block[] | Promise<Block[]>;
  /** Documents being cut at the same time, if they are long. Defaults to 1. */
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
  const results = cutInOrder(documents, concurrency, cut);
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

/** Characters of the documents that are read ahead: many where they are short. */
const AHEAD = 2 ** 20;

/** A document on its way. */
interface Cutting {
  document: InputDocument;
  blocks: Promise<Block[]>;
}

/**
 * Cuts the documents that are read ahead, whichever comes first, as far as `cut`
 * does so; short ones are not held up by a long one before them.
 */
async function* cutInOrder(
  documents: AsyncIterable<InputDocument> | Iterable<InputDocument>,
  concurrency: number,
  cut: (text: string) => Block[] | Promise<Block[]>,
): AsyncGenerator<{ document: InputDocument; blocks: Block[] }> {
  const underWay: Cutting[] = [];
  let ahead = 0;
  const first = async () => {
    const { document, blocks } = underWay.shift()!;
    ahead -= document.text.length;
    return { document, blocks: await blocks };
  };
  try {
    for await (const document of documents) {
      const blocks = cutDocument(document, cut);
      blocks.catch(() => {}); // thrown where it is awaited
      underWay.push({ document, blocks });
      ahead += document.text.length;
      while (
        underWay.length >= concurrency && (concurrency === 1 || ahead >= AHEAD)
      ) yield await first();
    }
    while (underWay.length > 0) yield await first();
  } finally {
    // Whoever stops early is not interested in what the others come to.
    await Promise.allSettled(underWay.map(({ blocks }) => blocks));
  }
}

async function cutDocument(
  { row, file, text }: InputDocument,
  cut: (text: string) => Block[] | Promise<Block[]>,
): Promise<Block[]> {
  try {
    return await cut(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RangeError(
      `Cannot split document ${row} of ${file}: ${reason}`,
      { cause },
    );
  }
}
