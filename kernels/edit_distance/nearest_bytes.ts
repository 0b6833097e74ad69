import { bitCount, EditPattern } from "./edit_distance.ts";

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
 * Distance 0 is a hash lookup. Distances 1 and 2 are, too, of strings that are
 * not long: two strings at distance k meet once each has lost k bytes or fewer.
 * Beyond, strings are scanned from the query's length outwards, and most are
 * ruled out by the bytes that one of the two has and the other lacks, of which
 * an edit mends one.
 */
export class NearestBytes {
  readonly #strings: readonly Uint8Array[];
  readonly #exact = new Map<string, number>();
  readonly #byLength: Bucket[] = [];
  readonly #oneAway: Deletions;
  readonly #twoAway: Deletions;

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
    this.#oneAway = new Deletions(strings, 1);
    this.#twoAway = new Deletions(strings, 2);
    const members: number[][] = [];
    strings.forEach((bytes, index) => {
      const key = bytesKey(bytes);
      if (!this.#exact.has(key)) this.#exact.set(key, index);
      (members[bytes.length] ??= []).push(index);
    });
    for (let length = 0; length < members.length; length++) {
      const indexes = Int32Array.from(members[length] ?? []);
      const [lows, highs] = [true, false].map((isAscii) =>
        indexes.map((index) => signature(strings[index]!, isAscii))
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
    const pattern = new EditPattern(query);
    return this.#oneAway.neighbour(query, pattern) ??
      this.#twoAway.neighbour(query, pattern) ??
      this.#scan(query, pattern);
  }

  #scan(query: Uint8Array, pattern: EditPattern): Nearest {
    const best = { index: -1, distance: Infinity };
    const wanted = {
      pattern,
      low: signature(query, true),
      high: signature(query, false),
      queryLength: query.length,
    };
    const furthest = Math.max(query.length, this.#byLength.length);
    for (let gap = 0; gap <= Math.min(best.distance, furthest); gap++) {
      this.#scanLength(wanted, query.length - gap, best);
      if (gap > 0) this.#scanLength(wanted, query.length + gap, best);
    }
    return best;
  }

  #scanLength(
    { pattern, low, high, queryLength }: Wanted,
    length: number,
    best: Nearest,
  ): void {
    const bucket = this.#byLength[length];
    if (!bucket) return;
    const { indexes, lows, highs } = bucket;
    const longer = Math.max(length, queryLength);
    for (let k = 0; k < indexes.length; k++) {
      const otherLow = lows[k]!;
      const otherHigh = highs[k]!;
      const index = indexes[k]!;
      const most = index < best.index ? best.distance : best.distance - 1;
      let distance = longer;
      // Strings without a common byte differ everywhere.
      if ((low & otherLow) !== 0 || (high & otherHigh) !== 0) {
        const lacks = bitCount(high & ~otherHigh) + bitCount(low & ~otherLow);
        if (lacks > most) continue;
        const has = bitCount(otherHigh & ~high) + bitCount(otherLow & ~low);
        if (has > most) continue;
        distance = pattern.distance(this.#strings[index]!, most);
      }
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
  queryLength: number;
}

/** Strings by the hashes of themselves less up to one byte, or two. */
class Deletions {
  readonly #strings: readonly Uint8Array[];
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #owners: Int32Array;
  /** The last query that met a string. */
  readonly #met: Int32Array;
  readonly #depth: 1 | 2;
  #queries = 0;

  constructor(strings: readonly Uint8Array[], depth: 1 | 2) {
    this.#strings = strings;
    this.#depth = depth;
    const entries = strings.reduce(
      (sum, each) => sum + variants(each, depth),
      0,
    );
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(entries + 1) + 1))
      .fill(-1);
    this.#next = new Int32Array(entries);
    this.#owners = new Int32Array(entries);
    this.#met = new Int32Array(strings.length);
    let entry = 0;
    strings.forEach((bytes, index) => {
      if (bytes.length > LONGEST) return;
      forEachVariant(bytes, depth, (hash) => {
        const slot = hash & (this.#heads.length - 1);
        this.#owners[entry] = index;
        this.#next[entry] = this.#heads[slot]!;
        this.#heads[slot] = entry++;
      });
    });
  }

  /** The nearest string if it is within the depth, and that is certain. */
  neighbour(query: Uint8Array, pattern: EditPattern): Nearest | undefined {
    if (query.length > LONGEST - this.#depth) return undefined;
    const best = { index: -1, distance: this.#depth + 1 };
    const stamp = ++this.#queries;
    forEachVariant(query, this.#depth, (hash) => {
      const slot = hash & (this.#heads.length - 1);
      let entry = this.#heads[slot]!;
      for (; entry >= 0; entry = this.#next[entry]!) {
        const index = this.#owners[entry]!;
        if (this.#met[index] === stamp) continue;
        this.#met[index] = stamp;
        const most = index < best.index ? best.distance : best.distance - 1;
        const distance = pattern.distance(this.#strings[index]!, most);
        if (distance > most) continue;
        best.index = index;
        best.distance = distance;
      }
    });
    return best.index < 0 ? undefined : best;
  }
}

/** Strings longer than this are not hashed: they would have too many variants. */
const LONGEST = 20;

/** How many variants a string has. */
function variants({ length }: Uint8Array, depth: 1 | 2): number {
  if (length > LONGEST) return 0;
  return 1 + length + (depth === 2 ? length * (length - 1) / 2 : 0);
}

/** Hash the bytes, and the bytes less one, and less two if that deep. */
function forEachVariant(
  bytes: Uint8Array,
  depth: 1 | 2,
  use: (hash: number) => void,
): void {
  const { length } = bytes;
  use(hash(bytes, length, length));
  for (let first = 0; first < length; first++) {
    use(hash(bytes, first, length));
    if (depth === 1) continue;
    for (let second = first + 1; second < length; second++) {
      use(hash(bytes, first, second));
    }
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

/** FNV-1a of the bytes without those at two places. */
function hash(bytes: Uint8Array, first: number, second: number): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) {
    if (i === first || i === second) continue;
    value = Math.imul(value ^ bytes[i]!, 0x01000193);
  }
  return value ^ (value >>> 15);
}

/** One bit for each byte of ASCII, or of the other bytes, modulo 32. */
function signature(bytes: Uint8Array, isAscii: boolean): number {
  let bits = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i]! < 0x80 === isAscii) bits |= 1 << (bytes[i]! & 31);
  }
  return bits;
}
