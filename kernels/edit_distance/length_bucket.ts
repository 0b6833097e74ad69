import type { EditPattern } from "./edit_distance.ts";
import type { Nearest } from "./nearest_bytes.ts";

/** Strings longer than this, of which there are few, are not counted. */
const MOST = 31;

/** Bits of a word, and strings that are counted at a time. */
const WORD = 32;

/** Bits of a count. */
const SLICES = 5;

/**
 * Byte strings of one length, and how many bytes each has in common with a
 * query, as multisets.
 *
 * For every byte, and its every repetition in a string, a plane has one bit per
 * string: whether it is there. The planes of the query's bytes are added up in
 * counts that are sliced, too, one word for each binary digit of 32 counts.
 */
export class LengthBucket {
  readonly #length: number;
  /** The strings by index, ascending. */
  readonly #indexes: Int32Array;
  readonly #strings: Uint8Array[];
  /** Words of a plane. */
  readonly #words: number;
  /** Where each plane begins, `[256, length]` by byte and repetition; −1 if it is empty. */
  readonly #planeAt: Int32Array;
  readonly #planes: Int32Array;
  /** Counts of the last query, `[words, SLICES]`. */
  readonly #counts: Int32Array;
  /** Planes of the last query; and how often each byte has been met, all zero between calls. */
  readonly #chosen: number[] = [];
  readonly #met = new Uint8Array(256);

  /**
   * Index.
   *
   * @param strings All strings.
   * @param indexes Which of them are of this length, ascending.
   * @param length The length.
   */
  constructor(
    strings: readonly Uint8Array[],
    indexes: readonly number[],
    length: number,
  ) {
    this.#length = length;
    this.#indexes = Int32Array.from(indexes);
    this.#strings = indexes.map((index) => strings[index]!);
    const isCounted = length <= MOST && indexes.length > 0;
    this.#words = isCounted ? Math.ceil(indexes.length / WORD) : 0;
    this.#planeAt = new Int32Array(isCounted ? 256 * length : 0).fill(-1);
    this.#counts = new Int32Array(this.#words * SLICES);
    this.#planes = new Int32Array(this.#allotPlanes());
    if (isCounted) this.#fillPlanes();
  }

  /**
   * Count what the strings have in common with a query.
   *
   * @param query Any bytes.
   */
  count(query: Uint8Array): void {
    if (this.#words === 0) return;
    const [planes, counts, chosen] = [this.#planes, this.#counts, this.#chosen];
    this.#choosePlanes(query);
    for (let word = 0, at = 0; word < this.#words; word++) {
      let [ones, twos, fours, eights, sixteens] = [0, 0, 0, 0, 0];
      for (let k = 0; k < chosen.length; k++) {
        let carry = planes[chosen[k]! + word]!;
        let sum = ones ^ carry;
        carry &= ones;
        ones = sum;
        if (carry === 0) continue;
        sum = twos ^ carry;
        carry &= twos;
        twos = sum;
        if (carry === 0) continue;
        sum = fours ^ carry;
        carry &= fours;
        fours = sum;
        sixteens ^= eights & carry;
        eights ^= carry;
      }
      counts[at++] = ones;
      counts[at++] = twos;
      counts[at++] = fours;
      counts[at++] = eights;
      counts[at++] = sixteens;
    }
  }

  /**
   * Compare a query with the strings that have so many bytes in common with it
   * that this is the least number of edits there can be.
   *
   * @param pattern The query, after it has been counted.
   * @param queryLength Its length.
   * @param bound The number of edits.
   * @param best The nearest so far, which is replaced by nearer ones.
   */
  compare(
    pattern: EditPattern,
    queryLength: number,
    bound: number,
    best: Nearest,
  ): void {
    const common = Math.max(this.#length, queryLength) - bound;
    if (this.#words > 0) return this.#compareCounted(pattern, common, best);
    const isFirst = common === Math.min(this.#length, queryLength);
    if (!isFirst) return;
    this.#strings.forEach((_, k) => this.#compareOne(pattern, k, best));
  }

  #compareCounted(pattern: EditPattern, common: number, best: Nearest): void {
    const [counts, words] = [this.#counts, this.#words];
    // All ones where a digit is to be 0.
    const ones = (common & 1) - 1;
    const twos = (common >> 1 & 1) - 1;
    const fours = (common >> 2 & 1) - 1;
    const eights = (common >> 3 & 1) - 1;
    const sixteens = (common >> 4 & 1) - 1;
    for (let word = 0, at = 0; word < words; word++, at += SLICES) {
      let equal = (counts[at]! ^ ones) & (counts[at + 1]! ^ twos) &
        (counts[at + 2]! ^ fours) & (counts[at + 3]! ^ eights) &
        (counts[at + 4]! ^ sixteens);
      for (; equal !== 0; equal &= equal - 1) {
        const k = word * WORD + 31 - Math.clz32(equal & -equal);
        if (k >= this.#indexes.length) return;
        this.#compareOne(pattern, k, best);
        // Strings without a common byte differ everywhere: all are as far.
        if (common === 0) return;
      }
    }
  }

  #compareOne(pattern: EditPattern, k: number, best: Nearest): void {
    const index = this.#indexes[k]!;
    const most = index < best.index ? best.distance : best.distance - 1;
    const distance = pattern.distance(this.#strings[k]!, most);
    if (distance > most) return;
    best.index = index;
    best.distance = distance;
  }

  /** Gives every plane a place; how many words they take. */
  #allotPlanes(): number {
    let end = 0;
    this.#forEachByte((plane) => {
      if (this.#planeAt[plane]! >= 0) return;
      this.#planeAt[plane] = end;
      end += this.#words;
    });
    return end;
  }

  #fillPlanes(): void {
    this.#forEachByte((plane, k) => {
      this.#planes[this.#planeAt[plane]! + (k >>> 5)]! |= 1 << (k & 31);
    });
  }

  #forEachByte(use: (plane: number, k: number) => void): void {
    if (this.#words === 0) return;
    const met = this.#met;
    this.#strings.forEach((bytes, k) => {
      for (const byte of bytes) use(byte * this.#length + met[byte]!++, k);
      for (const byte of bytes) met[byte] = 0;
    });
  }

  #choosePlanes(query: Uint8Array): void {
    const [met, chosen] = [this.#met, this.#chosen];
    chosen.length = 0;
    for (let i = 0; i < query.length; i++) {
      const byte = query[i]!;
      const repetition = met[byte]!;
      if (repetition === this.#length) continue;
      met[byte] = repetition + 1;
      const plane = this.#planeAt[byte * this.#length + repetition]!;
      if (plane >= 0) chosen.push(plane);
    }
    for (let i = 0; i < query.length; i++) met[query[i]!] = 0;
  }
}
