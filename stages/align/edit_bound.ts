/** Bits of a sketch that tell bytes, and those that tell the length. */
const SETS = 26;
const LENGTHS = 2 ** (32 - SETS) - 1;

/**
 * What bounds the edit distance of a token's bytes from below: which bytes there
 * are, and how many.
 *
 * @param bytes The bytes.
 * @returns 26 bits, one for each byte by its value modulo 26, and the length, at
 * most 63.
 */
export function sketchOf(bytes: Uint8Array): number {
  let set = 0;
  for (const byte of bytes) set |= 1 << (byte % SETS);
  return set | Math.min(bytes.length, LENGTHS) << SETS;
}

/**
 * Tell without comparing that two byte strings are far apart: an edit changes the
 * length by at most 1, and takes at most one byte out of a set and brings one in.
 *
 * @param one The sketch of the one.
 * @param other That of the other.
 * @param edits A number of edits.
 * @returns Whether they are surely more than that apart; `false` says nothing.
 */
export function isFurther(one: number, other: number, edits: number): boolean {
  const apart = (one >>> SETS) - (other >>> SETS);
  if (apart > edits || -apart > edits) return true;
  const differing = (one ^ other) & (1 << SETS) - 1;
  return hasMore(differing & one, edits) || hasMore(differing & other, edits);
}

function hasMore(set: number, most: number): boolean {
  for (let k = 1; k <= most && set !== 0; k++) set &= set - 1;
  return set !== 0;
}
