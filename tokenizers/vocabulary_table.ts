import type { Tokenizer } from "./tokenizer.ts";

/** What a tokenizer says of its tokens, as threads can send it to each other. */
export interface VocabularyTable
  extends Omit<Tokenizer, "tokenBytes" | "encode" | "decode"> {
  /** The bytes of all tokens, one after another. */
  readonly bytes: Uint8Array;
  /** Where each token's end, `[V]`. */
  readonly ends: Int32Array;
}

/**
 * Lay a tokenizer out as a table.
 *
 * @param tokenizer The tokenizer.
 * @returns What it says of its tokens.
 */
export function vocabularyTable(tokenizer: Tokenizer): VocabularyTable {
  const { directory, vocabSize, tokens, special, specialIds } = tokenizer;
  const { prefixSpace, normalizes, tokenBytes } = tokenizer;
  let length = 0;
  const ends = Int32Array.from(tokenBytes, (bytes) => length += bytes.length);
  const all = new Uint8Array(length);
  tokenBytes.forEach((bytes, id) => all.set(bytes, ends[id]! - bytes.length));
  return {
    ...{ directory, vocabSize, tokens, special, specialIds },
    ...{ prefixSpace, normalizes, bytes: all, ends },
  };
}

/**
 * Read the table as a tokenizer that is only asked about its tokens.
 *
 * @param table What {@linkcode vocabularyTable} has laid out.
 * @returns The tokenizer; `encode()` and `decode()` throw a `TypeError`.
 */
export function vocabularyOf(
  { bytes, ends, ...facts }: VocabularyTable,
): Tokenizer {
  const refuse = () => {
    throw new TypeError(
      `Cannot encode or decode by ${facts.directory}: it was loaded without ` +
        `its encoder, expected loadTokenizer()`,
    );
  };
  const tokenBytes = Array.from(
    ends,
    (end, id) => bytes.subarray(id > 0 ? ends[id - 1] : 0, end),
  );
  return { ...facts, tokenBytes, encode: refuse, decode: refuse };
}
