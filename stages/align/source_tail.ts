import { bytesKey } from "#/kernels/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import type { KnownPieces } from "./known_pieces.ts";

/** What the tail of a source's top-k may still say. */
export interface TailShare {
  /** Share of the source's vocabulary that agrees with what was read. */
  share: number;
  /** Of that, by the piece that the target would write next, the largest. */
  next: readonly (readonly [piece: number, share: number])[];
}

/** Sorts behind every byte. */
const END = "\u0100";

/** Prefixes that are remembered, before all are forgotten. */
const MOST_KNOWN = 2 ** 16;

/** Pieces that are told; of thousands each would have next to nothing. */
const MOST_TOLD = 64;

/**
 * The tokens of a source of which nothing is known but that they are none of
 * the top k: each of its vocabulary counts the same.
 */
export class SourceTail {
  readonly #vocabSize: number;
  readonly #pieces: KnownPieces;
  /** Tokens with bytes, and those as keys, in the keys' order. */
  readonly #tokens: { key: string; bytes: Uint8Array; isExact: boolean }[];
  readonly #shares = new Map<string, number>();
  readonly #known = new Map<string, TailShare>();

  /**
   * Prepare.
   *
   * @param source The source's tokenizer.
   * @param pieces How the target writes bytes.
   * @param isExact Whether a source token is one of the target's, too.
   */
  constructor(
    { tokenBytes, vocabSize }: Tokenizer,
    pieces: KnownPieces,
    isExact: (sourceId: number) => boolean,
  ) {
    this.#vocabSize = vocabSize;
    this.#pieces = pieces;
    this.#tokens = tokenBytes
      .map((bytes, id) => ({
        key: bytesKey(bytes),
        bytes,
        isExact: isExact(id),
      }))
      .filter(({ key }) => key !== "")
      .sort((one, other) => one.key < other.key ? -1 : +(one.key > other.key));
  }

  /**
   * How many tokens begin with some bytes.
   *
   * @param prefix The bytes.
   * @returns Share of the vocabulary that begins with them, or is them.
   */
  shareOf(prefix: Uint8Array): number {
    const key = bytesKey(prefix);
    let share = this.#shares.get(key);
    if (share === undefined) {
      if (this.#shares.size === MOST_KNOWN) this.#shares.clear();
      const [first, end] = this.#range(key);
      share = (end - first) / this.#vocabSize;
      this.#shares.set(key, share);
    }
    return share;
  }

  /**
   * How the target goes on to write the tokens that agree with what it has read.
   *
   * Before anything is read, a token that the target has, too, is not told:
   * what is unknown of it stays unknown.
   *
   * @param prefix The bytes read.
   * @param read The target's tokens for them.
   * @returns Shares of the source's vocabulary.
   */
  after(prefix: Uint8Array, read: Int32Array): TailShare {
    const key = read.join();
    let known = this.#known.get(key);
    if (known === undefined) {
      if (this.#known.size === MOST_KNOWN) this.#known.clear();
      this.#known.set(key, known = this.#count(prefix, read));
    }
    return known;
  }

  #count(prefix: Uint8Array, read: Int32Array): TailShare {
    const [first, end] = this.#range(bytesKey(prefix));
    const counts = new Map<number, number>();
    let agreeing = 0;
    for (const { bytes, isExact } of this.#tokens.slice(first, end)) {
      const pieces = isExact && read.length === 0 ? [] : this.#pieces.of(bytes);
      if (read.some((id, k) => pieces[k] !== id)) continue;
      agreeing++;
      const piece = pieces[read.length];
      if (piece === undefined) continue;
      counts.set(piece, (counts.get(piece) ?? 0) + 1);
    }
    const next = [...counts].sort(([a, m], [b, n]) => n - m || a - b)
      .slice(0, MOST_TOLD)
      .map(([piece, count]) => [piece, count / this.#vocabSize] as const);
    return { share: agreeing / this.#vocabSize, next };
  }

  /** The tokens that begin with a key. */
  #range(key: string): [first: number, end: number] {
    return [this.#before(key), this.#before(key + END)];
  }

  #before(key: string): number {
    let [low, high] = [0, this.#tokens.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#tokens[middle]!.key < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
