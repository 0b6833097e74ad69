import { spaceSymbol } from "./token_bytes.ts";
import type { TokenizerJson } from "./tokenizer_json.ts";

/** A token as it stands in a text. */
export interface Piece {
  /** The token. */
  id: number;
  /** What it stands for here. */
  bytes: Uint8Array;
}

/**
 * What a Unigram tokenizer does with characters that its vocabulary lacks: a run
 * of them is one unknown token or, if the model falls back to bytes, is spelled
 * in them. Either way it is known which text was meant.
 */
export class UnigramUnknowns {
  readonly #unknown: number | undefined;
  readonly #space: string | undefined;
  readonly #byteTokens: readonly (number | undefined)[] | undefined;

  /**
   * Prepare a tokenizer's rules.
   *
   * @param json What tokenizer.json holds.
   * @param tokens The token string of every id.
   */
  constructor(json: TokenizerJson, tokens: readonly string[]) {
    this.#unknown = json.model.unk_id ?? undefined;
    this.#space = spaceSymbol(json);
    if (!json.model.byte_fallback) return;
    const ids = new Map(tokens.map((token, id) => [token, id]));
    const byteTokens = Array.from(
      { length: 256 },
      (_, byte) =>
        ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
    );
    if (!byteTokens.includes(undefined)) this.#byteTokens = byteTokens;
  }

  /**
   * Spell out or fuse what is unknown.
   *
   * @param pieces The library's tokens, unknown characters one by one.
   * @param strings The library's token strings: of an unknown token its text.
   * @returns The tokens as the tokenizer means them.
   */
  spelled(pieces: readonly Piece[], strings: readonly string[]): Piece[] {
    const spelled: Piece[] = [];
    for (let at = 0; at < pieces.length; at++) {
      if (pieces[at]!.id !== this.#unknown) {
        spelled.push(pieces[at]!);
        continue;
      }
      const first = at;
      while (pieces[at + 1]?.id === this.#unknown) at++;
      const text = strings.slice(first, at + 1).join("");
      for (const piece of this.#spell(text)) spelled.push(piece);
    }
    return spelled;
  }

  #spell(text: string): Iterable<Piece> {
    const plain = this.#space ? text.replaceAll(this.#space, " ") : text;
    const bytes = new TextEncoder().encode(plain);
    const byteTokens = this.#byteTokens;
    if (!byteTokens) return [{ id: this.#unknown!, bytes }];
    return Array.from(bytes, (byte) => ({
      id: byteTokens[byte]!,
      bytes: Uint8Array.of(byte),
    }));
  }
}
