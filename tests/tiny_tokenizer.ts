import type { Encoding, Tokenizer } from "#/tokenizers/mod.ts";

/** How a tiny tokenizer differs from a plain one. */
export interface TinyTokenizerOptions {
  /** Special tokens by role. */
  special?: Tokenizer["special"];
  /** Special tokens without a role. */
  specialIds?: readonly number[];
  /** Whether a space is put before every text. Defaults to false. */
  prefixSpace?: boolean;
}

/**
 * A tokenizer of hand-made tokens, which takes the longest that fits.
 *
 * @param tokens Token strings: `▁` is a space, `<0xNN>` a byte, `""` a hole.
 * @param options See {@linkcode TinyTokenizerOptions}.
 * @returns The tokenizer; texts with bytes that no token has throw.
 */
export function tinyTokenizer(
  tokens: readonly string[],
  { special = {}, specialIds = [], prefixSpace = false }: TinyTokenizerOptions =
    {},
): Tokenizer {
  const specials = new Set([...Object.values(special), ...specialIds]);
  const tokenBytes = tokens.map((token, id) => {
    if (specials.has(id)) return new Uint8Array(0);
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token);
    if (byte) return Uint8Array.of(parseInt(byte[1]!, 16));
    return new TextEncoder().encode(token.replaceAll("▁", " "));
  });
  return {
    directory: "tiny",
    vocabSize: tokens.length,
    tokens,
    tokenBytes,
    special,
    specialIds: specials,
    prefixSpace,
    normalizes: false,
    encode: (text) => encode(text, tokenBytes, prefixSpace),
    decode: (ids) => {
      const bytes = Array.from(ids).flatMap((id) => [...tokenBytes[id]!]);
      return new TextDecoder().decode(Uint8Array.from(bytes))
        .slice(prefixSpace ? 1 : 0);
    },
  };
}

function encode(
  text: string,
  tokenBytes: readonly Uint8Array[],
  prefixSpace: boolean,
): Encoding {
  const bytes = new TextEncoder().encode((prefixSpace ? " " : "") + text);
  const ids: number[] = [];
  const byteEnds: number[] = [];
  for (let at = 0; at < bytes.length;) {
    let best = -1;
    tokenBytes.forEach((token, id) => {
      const fits = token.length > (tokenBytes[best]?.length ?? 0) &&
        token.every((byte, k) => bytes[at + k] === byte);
      if (fits) best = id;
    });
    if (best < 0) throw new RangeError(`Cannot encode ${text}: no token fits`);
    at += tokenBytes[best]!.length;
    ids.push(best);
    byteEnds.push(at - (prefixSpace ? 1 : 0));
  }
  return { ids: Int32Array.from(ids), byteEnds: Int32Array.from(byteEnds) };
}
