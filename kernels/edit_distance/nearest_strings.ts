import { bitCount } from "./edit_distance.ts";

/** Bits of a word of the bit-parallel recurrence. */
const WORD = 32;

/** The strings nearest to a query. */
export interface NearestOfAll {
  /** All that are equally near, ascending. */
  indexes: number[];
  /** How far they are, in edits. */
  distance: number;
}

/**
 * Strings, and the edit distance of any other string to them.
 *
 * An edit is about one code point, as in Python, not about a UTF-16 unit.
 * Queries of up to 32 code points are compared bit-parallel, longer ones cell by
 * cell.
 *
 * @see Myers 1999, "A fast bit-vector algorithm for approximate string matching
 * based on dynamic programming".
 */
export class NearestStrings {
  /** Dense numbers of the strings' code points; 0 is any other one. */
  readonly #symbols = new Map<number, number>();
  readonly #flat: Int32Array;
  readonly #starts: Int32Array;
  /** Where in the query a symbol stands; all zero between calls. */
  readonly #rows: Int32Array;
  readonly #byLength: Bucket[] = [];

  /**
   * Read the strings.
   *
   * @param strings Any strings; ties are listed in their order.
   */
  constructor(strings: readonly string[]) {
    const read = strings.map((text) => this.#learn(text));
    this.#starts = new Int32Array(read.length + 1);
    read.forEach(({ length }, k) => {
      this.#starts[k + 1] = this.#starts[k]! + length;
    });
    this.#flat = new Int32Array(this.#starts[read.length]!);
    const members: number[][] = [];
    read.forEach((symbols, k) => {
      this.#flat.set(symbols, this.#starts[k]);
      (members[symbols.length] ??= []).push(k);
    });
    for (let length = 0; length < members.length; length++) {
      const indexes = Int32Array.from(members[length] ?? []);
      const lows = indexes.map((k) => signature(read[k]!, 0));
      const highs = indexes.map((k) => signature(read[k]!, 32));
      this.#byLength.push({ indexes, lows, highs });
    }
    this.#rows = new Int32Array(this.#symbols.size + 1);
  }

  /**
   * Compare with all.
   *
   * @param query Any string.
   * @returns The distance to every string, in edits.
   */
  distances(query: string): Int32Array {
    const symbols = this.#read(query);
    const distances = new Int32Array(this.#starts.length - 1);
    this.#mark(symbols, true);
    for (let k = 0; k < distances.length; k++) {
      distances[k] = this.#distance(symbols, k, Infinity);
    }
    this.#mark(symbols, false);
    return distances;
  }

  /**
   * Find the nearest.
   *
   * @param query Any string.
   * @returns Every string at the least distance; none if there is none at all.
   */
  nearest(query: string): NearestOfAll {
    const symbols = this.#read(query);
    const best: NearestOfAll = { indexes: [], distance: Infinity };
    const furthest = Math.max(symbols.length, this.#byLength.length);
    this.#mark(symbols, true);
    for (let gap = 0; gap <= Math.min(best.distance, furthest); gap++) {
      this.#scan(symbols, symbols.length - gap, best);
      if (gap > 0) this.#scan(symbols, symbols.length + gap, best);
    }
    this.#mark(symbols, false);
    best.indexes.sort((a, b) => a - b);
    return best;
  }

  #scan(symbols: Int32Array, length: number, best: NearestOfAll): void {
    const bucket = this.#byLength[length];
    if (!bucket) return;
    const { indexes, lows, highs } = bucket;
    const low = signature(symbols, 0);
    const high = signature(symbols, 32);
    for (let k = 0; k < indexes.length; k++) {
      const most = best.distance;
      const lacks = bitCount(low & ~lows[k]!) + bitCount(high & ~highs[k]!);
      if (lacks > most) continue;
      const distance = this.#distance(symbols, indexes[k]!, most);
      if (distance > most) continue;
      if (distance < most) best.indexes.length = 0;
      best.indexes.push(indexes[k]!);
      best.distance = distance;
    }
  }

  #distance(symbols: Int32Array, k: number, most: number): number {
    const [first, end] = [this.#starts[k]!, this.#starts[k + 1]!];
    if (symbols.length === 0) return end - first;
    return symbols.length <= WORD
      ? oneWord(this.#rows, symbols.length, this.#flat, first, end, most)
      : cellByCell(symbols, this.#flat.subarray(first, end));
  }

  #mark(symbols: Int32Array, on: boolean): void {
    if (symbols.length > WORD) return;
    for (let i = 0; i < symbols.length; i++) {
      if (symbols[i]! === 0) continue;
      this.#rows[symbols[i]!] = on ? this.#rows[symbols[i]!]! | 1 << i : 0;
    }
  }

  #learn(text: string): Int32Array {
    return Int32Array.from(text, (character) => {
      const point = character.codePointAt(0)!;
      const known = this.#symbols.get(point) ?? this.#symbols.size + 1;
      this.#symbols.set(point, known);
      return known;
    });
  }

  #read(text: string): Int32Array {
    return Int32Array.from(
      text,
      (character) => this.#symbols.get(character.codePointAt(0)!) ?? 0,
    );
  }
}

/** The strings of one length, by index, and which symbols occur in them. */
interface Bucket {
  indexes: Int32Array;
  lows: Int32Array;
  highs: Int32Array;
}

/** One bit for each symbol that occurs, modulo 64, from `first` on. */
function signature(symbols: Int32Array, first: 0 | 32): number {
  let bits = 0;
  for (const symbol of symbols) {
    // Foreign symbols are left out: several may be one edit's, none is shared.
    if (symbol > 0 && (symbol & 32) === first) bits |= 1 << (symbol & 31);
  }
  return bits;
}

function oneWord(
  rows: Int32Array,
  m: number,
  flat: Int32Array,
  first: number,
  end: number,
  most: number,
): number {
  const last = 1 << (m - 1);
  let plus = -1;
  let minus = 0;
  let score = m;
  for (let j = first; j < end; j++) {
    const eq = rows[flat[j]!]!;
    const vertical = eq | minus;
    const horizontal = (((eq & plus) + plus) ^ plus) | eq;
    let up = minus | ~(horizontal | plus);
    const down = plus & horizontal;
    if (up & last) {
      // Each symbol to come takes one off at most.
      if (++score - (end - 1 - j) > most) return score;
    } else if (down & last) score--;
    up = (up << 1) | 1;
    plus = (down << 1) | ~(vertical | up);
    minus = up & vertical;
  }
  return score;
}

function cellByCell(first: Int32Array, second: Int32Array): number {
  let above = Int32Array.from({ length: second.length + 1 }, (_, j) => j);
  let here = new Int32Array(second.length + 1);
  for (let i = 0; i < first.length; i++) {
    here[0] = i + 1;
    for (let j = 0; j < second.length; j++) {
      const same = first[i] !== 0 && first[i] === second[j];
      here[j + 1] = Math.min(
        above[j]! + (same ? 0 : 1),
        above[j + 1]! + 1,
        here[j]! + 1,
      );
    }
    [above, here] = [here, above];
  }
  return above[second.length]!;
}
