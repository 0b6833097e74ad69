import { bytesKey } from "#/kernels/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

/** Sorts behind every byte. */
const END = "\u0100";

/** Tells how many tokens of a vocabulary begin alike. */
export class PrefixShares {
  readonly #keys: string[];
  readonly #vocabSize: number;
  readonly #known = new Map<string, number>();

  /**
   * Prepare.
   *
   * @param tokenizer Whose vocabulary it is.
   */
  constructor({ tokenBytes, vocabSize }: Tokenizer) {
    this.#keys = tokenBytes.filter(({ length }) => length > 0).map(bytesKey)
      .sort((one, other) => one < other ? -1 : Number(one > other));
    this.#vocabSize = vocabSize;
  }

  /**
   * Count.
   *
   * @param prefix Bytes.
   * @returns Share of the vocabulary's tokens that begin with them, or are them.
   */
  of(prefix: Uint8Array): number {
    const key = bytesKey(prefix);
    let share = this.#known.get(key);
    if (share === undefined) {
      share = (this.#before(key + END) - this.#before(key)) / this.#vocabSize;
      this.#known.set(key, share);
    }
    return share;
  }

  /** How many keys sort before this one. */
  #before(key: string): number {
    let [low, high] = [0, this.#keys.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
