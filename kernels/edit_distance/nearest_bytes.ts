import { EditPattern } from "./edit_distance.ts";
import { LengthBucket } from "./length_bucket.ts";

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
 * Distance 0 is a hash lookup. Beyond, two strings of m and n bytes that have c
 * of them in common, whatever the order, are at least max(m, n) − c edits apart.
 * Strings are compared in the order of this bound, until it exceeds the least
 * distance found. It costs next to nothing: {@linkcode LengthBucket} counts for
 * 32 strings at a time.
 */
export class NearestBytes {
  readonly #exact = new Map<string, number>();
  readonly #buckets: LengthBucket[];

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
    const members: number[][] = [];
    strings.forEach((bytes, index) => {
      const key = bytesKey(bytes);
      if (!this.#exact.has(key)) this.#exact.set(key, index);
      (members[bytes.length] ??= []).push(index);
    });
    this.#buckets = Array.from(
      members,
      (indexes = [], length) => new LengthBucket(strings, indexes, length),
    );
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
    const best = { index: -1, distance: Infinity };
    const pattern = new EditPattern(query);
    for (let bound = 0; bound <= best.distance; bound++) {
      const first = Math.max(0, query.length - bound);
      for (let n = first; n <= query.length + bound; n++) {
        const bucket = this.#buckets[n];
        if (bucket === undefined) break;
        if (Math.abs(n - query.length) === bound) bucket.count(query);
        bucket.compare(pattern, query.length, bound, best);
      }
    }
    return best;
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
