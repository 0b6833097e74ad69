import { bytesKey } from "#/kernels/mod.ts";
import { TextPieces } from "#/stages/text_pieces.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

/** Byte strings that are remembered, before all are forgotten. */
const MOST_KNOWN = 2 ** 18;

/** How a tokenizer writes bytes, looked up once. */
export class KnownPieces {
  readonly #pieces: TextPieces;
  readonly #known = new Map<string, readonly number[]>();

  /**
   * Prepare.
   *
   * @param tokenizer The tokenizer.
   */
  constructor(tokenizer: Tokenizer) {
    this.#pieces = new TextPieces(tokenizer);
  }

  /**
   * Write bytes.
   *
   * @param bytes Any bytes.
   * @returns As `TextPieces.of()`.
   */
  of(bytes: Uint8Array): readonly number[] {
    const key = bytesKey(bytes);
    const known = this.#known.get(key);
    if (known) return known;
    if (this.#known.size === MOST_KNOWN) this.#known.clear();
    const pieces = this.#pieces.of(bytes);
    this.#known.set(key, pieces);
    return pieces;
  }
}
