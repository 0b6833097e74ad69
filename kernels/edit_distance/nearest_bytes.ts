import { bitCount, editDistance, EditPattern } from "./edit_distance.ts";

/** The nearest of many byte strings. */
export interface Nearest {
  /** Which one; the smallest index of those equally near. */
  index: number;
  /** Its distance, in edits. */
  distance: number;
}

/**
 * A set of byte strings that finds the nearest one to a query by edit distance,
 * exactly; of several, the one with the smallest index.
 *
 * Distance 0 is a hash lookup. Distance 1 is one, too: two strings at distance 1
 * are equal or meet once each has lost at most one byte. Beyond, strings are
 * scanned from the query's length outwards, and most are ruled out by the bytes
 * that one of the two has and the other lacks, of which an edit mends one.
 */
export class NearestBytes {
  readonly #strings: readonly Uint8Array[];
  readonly #exact = new Map<string, number>();
  readonly #byLength: Bucket[] = [];
  readonly #deletions: Deletions;

  /**
   * Index the strings.
   *
   * @param strings At least one; ties go to the earlier.
   * @throws {RangeError} If there is none.
   */
  constructor(strings: readonly Uint8Array[]) {
    if (strings.length === 0) {
      throw new RangeError(
        "Cannot find the nearest of no byte strings: expected at least one",
      );
    }
    this.#strings = strings;
    this.#deletions = new Deletions(strings);
    const members: number[][] = [];
    strings.forEach((bytes, index) => {
      const key = bytesKey(bytes);
      if (!this.#exact.has(key)) this.#exact.set(key, index);
      (members[bytes.length] ??= []).push(index);
    });
    for (let length = 0; length < members.length; length++) {
      const indexes = Int32Array.from(members[length] ?? []);
      const [lows, highs] = ([0, 32] as const).map((first) =>
        indexes.map((index) => signature(strings[index]!, first))
      );
      this.#byLength.push({ indexes, lows: lows!, highs: highs! });
    }
  }

  /**
   * Find an equal string.
   *
   * @param query Any bytes.
   * @returns Its index, or `undefined`.
   */
  exact(query: Uint8Array): number | undefined {
    return this.#exact.get(bytesKey(query));
  }

  /**
   * Find the nearest string.
   *
   * @param query Any bytes.
   * @returns Its index and distance.
   */
  find(query: Uint8Array): Nearest {
    const index = this.exact(query);
    if (index !== undefined) return { index, distance: 0 };
    const neighbour = this.#deletions.neighbour(query);
    if (neighbour !== undefined) return { index: neighbour, distance: 1 };
    return this.#scan(query);
  }

  #scan(query: Uint8Array): Nearest {
    const best = { index: -1, distance: Infinity };
    const wanted = {
      pattern: new EditPattern(query),
      low: signature(query, 0),
      high: signature(query, 32),
    };
    const furthest = Math.max(query.length, this.#byLength.length);
    for (let gap = 0; gap <= Math.min(best.distance, furthest); gap++) {
      this.#scanLength(wanted, query.length - gap, best);
      if (gap > 0) this.#scanLength(wanted, query.length + gap, best);
    }
    return best;
  }

  #scanLength(
    { pattern, low, high }: Wanted,
    length: number,
    best: Nearest,
  ): void {
    const bucket = this.#byLength[length];
    if (!bucket) return;
    const { indexes, lows, highs } = bucket;
    for (let k = 0; k < indexes.length; k++) {
      const otherLow = lows[k]!;
      const otherHigh = highs[k]!;
      const index = indexes[k]!;
      const most = index < best.index ? best.distance : best.distance - 1;
      const lacks = bitCount(low & ~otherLow) + bitCount(high & ~otherHigh);
      if (lacks > most) continue;
      const distance = pattern.distance(this.#strings[index]!, most);
      if (distance > most) continue;
      best.index = index;
      best.distance = distance;
    }
  }
}

/** The strings of one length, by index, and which bytes occur in them. */
interface Bucket {
  indexes: Int32Array;
  lows: Int32Array;
  highs: Int32Array;
}

/** What is looked for. */
interface Wanted {
  pattern: EditPattern;
  low: number;
  high: number;
}

/** Strings by the hashes of themselves and of themselves less one byte. */
class Deletions {
  readonly #strings: readonly Uint8Array[];
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #owners: Int32Array;

  constructor(strings: readonly Uint8Array[]) {
    this.#strings = strings;
    const entries = strings.reduce((sum, { length }) => sum + length + 1, 0);
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(entries + 1) + 1))
      .fill(-1);
    this.#next = new Int32Array(entries);
    this.#owners = new Int32Array(entries);
    let entry = 0;
    strings.forEach((bytes, index) => {
      for (let skip = -1; skip < bytes.length; skip++) {
        const slot = hash(bytes, skip) & (this.#heads.length - 1);
        this.#owners[entry] = index;
        this.#next[entry] = this.#heads[slot]!;
        this.#heads[slot] = entry++;
      }
    });
  }

  /** The first string at distance 1. */
  neighbour(query: Uint8Array): number | undefined {
    let best = Infinity;
    for (let skip = -1; skip < query.length; skip++) {
      const slot = hash(query, skip) & (this.#heads.length - 1);
      for (
        let entry = this.#heads[slot]!;
        entry >= 0;
        entry = this.#next[entry]!
      ) {
        const index = this.#owners[entry]!;
        if (index >= best) continue;
        if (editDistance(query, this.#strings[index]!) === 1) best = index;
      }
    }
    return best === Infinity ? undefined : best;
  }
}

/**
 * The bytes as a string of one character each, for maps.
 *
 * @param bytes Any bytes.
 * @returns A string that no other bytes give.
 */
export function bytesKey(bytes: Uint8Array): string {
  let key = "";
  for (let i = 0; i < bytes.length; i++) key += String.fromCharCode(bytes[i]!);
  return key;
}

/** FNV-1a of the bytes without the one at `skip`. */
function hash(bytes: Uint8Array, skip: number): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) {
    if (i !== skip) value = Math.imul(value ^ bytes[i]!, 0x01000193);
  }
  return value ^ (value >>> 15);
}

/** One bit for each byte that occurs, modulo 64, from `first` on. */
function signature(bytes: Uint8Array, first: 0 | 32): number {
  let bits = 0;
  for (let i = 0; i < bytes.length; i++) {
    if ((bytes[i]! & 32) === first) bits |= 1 << (bytes[i]! & 31);
  }
  return bits;
}
