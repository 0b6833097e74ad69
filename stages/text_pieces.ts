import { bytesKey } from "#/kernels/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

const SPACE = 0x20;

/** Before a piece of text that stands inside of it: what a tokenizer does not join to what follows. */
const ANCHORS = ["\n", "a", ".", "1"];

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * How a tokenizer writes bytes that stand somewhere in a text.
 *
 * Bytes that are no text of their own, such as a part of a character, and those
 * that the tokenizer would change are written by the longest token that fits,
 * again and again, as far as that goes.
 */
export class TextPieces {
  readonly #tokenizer: Tokenizer;
  #byBytes: Map<string, number> | undefined;
  #longest = 0;
  readonly #anchors: readonly (readonly [text: string, ids: number[]])[];

  /**
   * Prepare.
   *
   * @param tokenizer The tokenizer.
   */
  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
    this.#anchors = ANCHORS.map((text) => [text, this.#encode(text)] as const);
  }

  /**
   * Write bytes.
   *
   * @param bytes Any bytes.
   * @returns The tokens that stand for them; for their start, where no token
   * fits what follows.
   */
  of(bytes: Uint8Array): number[] {
    const text = decoded(bytes);
    const written = text === undefined ? undefined : this.#encoded(text, bytes);
    return written ?? this.#greedy(bytes);
  }

  #encoded(text: string, bytes: Uint8Array): number[] | undefined {
    const wanted = bytesKey(bytes);
    for (const ids of this.#attempts(text, bytes)) {
      if (this.#stringOf(ids) === wanted) return ids;
    }
  }

  *#attempts(text: string, bytes: Uint8Array): Generator<number[]> {
    if (!this.#tokenizer.prefixSpace) return yield this.#encode(text);
    // A virtual space is as good as the one that is there.
    if (bytes[0] === SPACE) yield this.#encode(text.slice(1));
    for (const [anchor, before] of this.#anchors) {
      const both = this.#encode(anchor + text);
      if (before.every((id, k) => both[k] === id)) {
        yield both.slice(before.length);
      }
    }
  }

  #encode(text: string): number[] {
    try {
      return [...this.#tokenizer.encode(text).ids];
    } catch (error) {
      // No token fits: the longest one that does is taken.
      if (error instanceof RangeError) return [];
      throw error;
    }
  }

  #stringOf(ids: readonly number[]): string {
    const { tokenBytes } = this.#tokenizer;
    return ids.map((id) => bytesKey(tokenBytes[id]!)).join("");
  }

  #greedy(bytes: Uint8Array): number[] {
    const table = this.#byBytes ??= this.#index();
    const ids: number[] = [];
    for (let at = 0; at < bytes.length;) {
      let end = Math.min(bytes.length, at + this.#longest);
      let id: number | undefined;
      for (; end > at; end--) {
        id = table.get(bytesKey(bytes.subarray(at, end)));
        if (id !== undefined) break;
      }
      if (id === undefined) break;
      ids.push(id);
      at = end;
    }
    return ids;
  }

  #index(): Map<string, number> {
    const table = new Map<string, number>();
    this.#tokenizer.tokenBytes.forEach((bytes, id) => {
      if (bytes.length === 0) return;
      const key = bytesKey(bytes);
      if (!table.has(key)) table.set(key, id);
      this.#longest = Math.max(this.#longest, bytes.length);
    });
    return table;
  }
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
