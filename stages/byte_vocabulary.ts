import { bytesKey, NearestBytes } from "#/kernels/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

/** The tokens of a tokenizer that stand for bytes, one per byte string. */
export interface ByteVocabulary {
  /** Their ids, ascending. */
  ids: Int32Array;
  /** Their byte strings, in the same order. */
  nearest: NearestBytes;
}

/**
 * Index a vocabulary by bytes.
 *
 * Of tokens with the same bytes the smallest id counts, and a byte token
 * (`<0x41>`) only where no other token has its byte: a tokenizer falls back to
 * it for what it cannot write otherwise.
 *
 * @param tokenizer The tokenizer, or what there is of it.
 * @returns The tokens that it writes text with.
 * @throws {RangeError} If no token stands for bytes.
 */
export function byteVocabulary(
  { directory, tokens, tokenBytes }: Pick<
    Tokenizer,
    "directory" | "tokens" | "tokenBytes"
  >,
): ByteVocabulary {
  const byBytes = new Map<string, number>();
  for (const wantsByteTokens of [false, true]) {
    tokenBytes.forEach((bytes, id) => {
      if (bytes.length === 0) return;
      if (isByteToken(tokens[id]!, bytes) !== wantsByteTokens) return;
      const key = bytesKey(bytes);
      if (!byBytes.has(key)) byBytes.set(key, id);
    });
  }
  if (byBytes.size === 0) {
    throw new RangeError(
      `Cannot map to the vocabulary of ${directory}: it has no token that ` +
        `stands for bytes, expected at least one`,
    );
  }
  const ids = Int32Array.from(byBytes.values()).sort();
  const strings = Array.from(ids, (id) => tokenBytes[id]!);
  return { ids, nearest: new NearestBytes(strings) };
}

function isByteToken(token: string, bytes: Uint8Array): boolean {
  return bytes.length === 1 && /^<0x[0-9A-F]{2}>$/.test(token);
}
