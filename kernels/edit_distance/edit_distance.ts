/** Bits of a word of the bit-parallel recurrence. */
const WORD = 32;

/** Row vectors of the pattern's bytes, `[256, words]`; all zero between calls. */
let peq = new Int32Array(256);
/** Vertical differences +1 and −1, one bit a pattern byte. */
let pv = new Int32Array(1);
let mv = new Int32Array(1);

/**
 * Levenshtein distance of two byte strings, in edits.
 *
 * Insertions, deletions and substitutions of one byte cost 1 each. Takes
 * O(⌈min/32⌉ · max) steps.
 *
 * @example A leading space is an edit like any other
 * ```ts
 * import assert from "node:assert/strict";
 * import { editDistance } from "#/kernels/edit_distance/edit_distance.ts";
 *
 * const bytes = (text: string) => new TextEncoder().encode(text);
 * assert.equal(editDistance(bytes(" fusion"), bytes("fusing")), 3);
 * ```
 *
 * @param first Bytes, of any length.
 * @param second Bytes, of any length.
 * @returns The number of edits.
 * @see Myers 1999, "A fast bit-vector algorithm for approximate string matching
 * based on dynamic programming"; blocks as in Hyyrö 2003.
 */
export function editDistance(first: Uint8Array, second: Uint8Array): number {
  const [pattern, text] = first.length <= second.length
    ? [first, second]
    : [second, first];
  if (pattern.length === 0) return text.length;
  if (pattern.length > WORD) return manyWords(pattern, text);
  const m = pattern.length;
  for (let i = 0; i < m; i++) peq[pattern[i]!]! |= 1 << i;
  const distance = oneWord(peq, m, text, Infinity);
  for (let i = 0; i < m; i++) peq[pattern[i]!] = 0;
  return distance;
}

/**
 * One byte string, to be compared with many.
 *
 * Its bit vectors are made once, and a comparison ends as soon as the distance
 * is known to be more than what is of interest.
 */
export class EditPattern {
  readonly #bytes: Uint8Array;
  readonly #peq = new Int32Array(256);

  /**
   * Prepare.
   *
   * @param bytes Any bytes.
   */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    if (bytes.length > WORD) return;
    for (let i = 0; i < bytes.length; i++) this.#peq[bytes[i]!]! |= 1 << i;
  }

  /**
   * Compare.
   *
   * @param text Any bytes.
   * @param most The largest distance of interest.
   * @returns `editDistance` of the two where it is at most `most`, else any
   * number above `most`.
   */
  distance(text: Uint8Array, most: number): number {
    const m = this.#bytes.length;
    return m === 0 || m > WORD
      ? editDistance(this.#bytes, text)
      : oneWord(this.#peq, m, text, most);
  }
}

/**
 * Count the ones of 32 bits.
 *
 * @param bits An integer.
 * @returns 0 to 32.
 */
export function bitCount(bits: number): number {
  bits -= (bits >>> 1) & 0x55555555;
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function oneWord(
  rows: Int32Array,
  m: number,
  text: Uint8Array,
  most: number,
): number {
  const last = 1 << (m - 1);
  let plus = -1;
  let minus = 0;
  let score = m;
  for (let j = 0; j < text.length; j++) {
    const eq = rows[text[j]!]!;
    const vertical = eq | minus;
    const horizontal = (((eq & plus) + plus) ^ plus) | eq;
    let up = minus | ~(horizontal | plus);
    const down = plus & horizontal;
    if (up & last) {
      // Each byte to come takes one off at most.
      if (++score - (text.length - 1 - j) > most) return score;
    } else if (down & last) score--;
    up = (up << 1) | 1;
    plus = (down << 1) | ~(vertical | up);
    minus = up & vertical;
  }
  return score;
}

function manyWords(pattern: Uint8Array, text: Uint8Array): number {
  const m = pattern.length;
  const words = Math.ceil(m / WORD);
  if (pv.length < words) {
    peq = new Int32Array(256 * words);
    pv = new Int32Array(words);
    mv = new Int32Array(words);
  }
  for (let i = 0; i < m; i++) {
    peq[pattern[i]! * words + (i >>> 5)]! |= 1 << i;
  }
  pv.fill(-1, 0, words);
  mv.fill(0, 0, words);
  const last = 1 << (m - 1);
  let score = m;
  for (let j = 0; j < text.length; j++) {
    const row = text[j]! * words;
    // The difference that enters a block from the one above: −1, 0 or 1.
    let carry = 1;
    for (let word = 0; word < words; word++) {
      let eq = peq[row + word]!;
      const plus = pv[word]!;
      const minus = mv[word]!;
      const vertical = eq | minus;
      if (carry < 0) eq |= 1;
      const horizontal = (((eq & plus) + plus) ^ plus) | eq;
      let up = minus | ~(horizontal | plus);
      let down = plus & horizontal;
      const top = word === words - 1 ? last : 1 << 31;
      const out = up & top ? 1 : down & top ? -1 : 0;
      up = (up << 1) | (carry > 0 ? 1 : 0);
      down = (down << 1) | (carry < 0 ? 1 : 0);
      pv[word] = down | ~(vertical | up);
      mv[word] = up & vertical;
      carry = out;
    }
    score += carry;
  }
  for (let i = 0; i < m; i++) peq[pattern[i]! * words + (i >>> 5)] = 0;
  return score;
}
