/** Byte strings as threads send them to each other. */
export interface FlatStrings {
  /** All bytes, one string after another. */
  bytes: Uint8Array;
  /** Where each string ends. */
  ends: Int32Array;
}

/** The nearest candidate of every query, by index, and how far it is. */
export interface NearestStrings {
  /** Which candidate. */
  indexes: Int32Array;
  /** Its distance, in edits. */
  distances: Int32Array;
}

/**
 * Lay strings out flat.
 *
 * @param strings The strings.
 * @returns Their bytes and ends.
 */
export function flatStrings(strings: readonly Uint8Array[]): FlatStrings {
  let length = 0;
  const ends = Int32Array.from(strings, (string) => length += string.length);
  const bytes = new Uint8Array(length);
  strings.forEach((string, at) => bytes.set(string, ends[at]! - string.length));
  return { bytes, ends };
}

/**
 * Read what {@linkcode flatStrings} has laid out.
 *
 * @param flat Bytes and ends.
 * @returns The strings, views.
 */
export function stringsOf({ bytes, ends }: FlatStrings): Uint8Array[] {
  return Array.from(
    ends,
    (end, at) => bytes.subarray(at > 0 ? ends[at - 1] : 0, end),
  );
}
