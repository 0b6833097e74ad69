import { flatten } from "./tokenizer_json.ts";
import type { TokenizerJson } from "./tokenizer_json.ts";

const encoder = new TextEncoder();

/**
 * Compute the bytes that every token stands for.
 *
 * | tokenizer | a token's bytes |
 * |---|---|
 * | byte-level BPE | one per character, by the inverse of GPT-2's alphabet |
 * | BPE and Unigram of SentencePiece | UTF-8 with `▁` as a space; `<0xNN>` is that byte if bytes fall back |
 * | WordPiece | UTF-8 without the leading `##` |
 *
 * Added tokens that are not special are found in text as they are spelled, so
 * their bytes are their UTF-8. The spaces between WordPiece words belong to no token.
 *
 * @param json What tokenizer.json holds.
 * @param tokens The token string of every id.
 * @param specialIds Ids that stand for no bytes.
 * @returns One array per id; empty for special tokens and holes.
 */
export function tokenBytes(
  json: TokenizerJson,
  tokens: readonly string[],
  specialIds: ReadonlySet<number>,
): Uint8Array[] {
  const toBytes = bytesOfToken(json);
  const spelled = new Set(json.added_tokens.map(({ id }) => id));
  const space = spaceSymbol(json);
  return tokens.map((token, id) => {
    if (specialIds.has(id)) return new Uint8Array(0);
    if (!spelled.has(id)) return toBytes(token);
    return encoder.encode(space ? token.replaceAll(space, " ") : token);
  });
}

/**
 * Tell whether tokens are spelled in GPT-2's alphabet of bytes.
 *
 * @param json What tokenizer.json holds.
 * @returns Whether a pre-tokenizer or decoder is `ByteLevel`.
 */
export function isByteLevel(json: TokenizerJson): boolean {
  return [...flatten(json.pre_tokenizer), ...flatten(json.decoder)]
    .some(({ type }) => type === "ByteLevel");
}

/**
 * Find the character that stands for a space in tokens.
 *
 * @param json What tokenizer.json holds.
 * @returns SentencePiece's `▁` or what stands in for it, undefined if none does.
 */
export function spaceSymbol(json: TokenizerJson): string | undefined {
  const parts = [
    ...flatten(json.normalizer),
    ...flatten(json.pre_tokenizer),
    ...flatten(json.decoder),
  ];
  for (const { type, replacement, pattern, content } of parts) {
    if (type === "Metaspace") return String(replacement ?? "▁");
    const replaced = (pattern as { String?: string } | undefined)?.String;
    if (type === "Replace" && replaced === " ") return String(content);
    if (type === "Replace" && content === " ") return replaced;
  }
  return undefined;
}

/**
 * GPT-2's alphabet: a printable character for every byte.
 *
 * Printable bytes stand for themselves, the others for U+0100 and following.
 *
 * @returns The byte of every character of the alphabet.
 */
export function byteOfCharacter(): ReadonlyMap<string, number> {
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  let next = 0x100;
  return new Map(Array.from({ length: 256 }, (_, byte) => [
    String.fromCharCode(isPrintable(byte) ? byte : next++),
    byte,
  ]));
}

function bytesOfToken(json: TokenizerJson): (token: string) => Uint8Array {
  const { type, byte_fallback, continuing_subword_prefix, end_of_word_suffix } =
    json.model;
  if (type === "WordPiece") {
    const prefix = continuing_subword_prefix ?? "##";
    return (token) =>
      encoder.encode(
        token.startsWith(prefix) ? token.slice(prefix.length) : token,
      );
  }
  const suffix = end_of_word_suffix || undefined;
  const strip = (token: string) =>
    suffix && token.endsWith(suffix) ? token.slice(0, -suffix.length) : token;
  if (isByteLevel(json)) return (token) => bytesOfAlphabet(strip(token));

  const space = spaceSymbol(json);
  return (token) => {
    const byte = byte_fallback ? /^<0x([0-9A-F]{2})>$/.exec(token) : null;
    if (byte) return Uint8Array.of(parseInt(byte[1]!, 16));
    const text = strip(token);
    return encoder.encode(space ? text.replaceAll(space, " ") : text);
  };
}

const ALPHABET = byteOfCharacter();

function bytesOfAlphabet(token: string): Uint8Array {
  const characters = [...token];
  const bytes = characters.map((character) => ALPHABET.get(character));
  // A token outside the alphabet was added by hand, as text.
  return bytes.includes(undefined)
    ? encoder.encode(token)
    : Uint8Array.from(bytes as number[]);
}
