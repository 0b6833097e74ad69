import { alignCodePoints } from "./code_point_alignment.ts";

/** The bytes that an encoding stands for. */
export interface EmittedBytes {
  /** The bytes of the tokens, concatenated. */
  bytes: Uint8Array;
  /** Where each token ends in them, `[T]`. */
  ends: Int32Array;
  /** Whether a token without bytes stands for text all the same, as unknown tokens do. */
  isUnknown: (token: number) => boolean;
}

/**
 * Carry token ends from the bytes of the tokens over to the bytes of the text.
 *
 * Where the two are equal nothing changes. Else a tokenizer has normalized the
 * text, and the two byte streams are compared code point by code point. Marks
 * and control characters that it dropped belong to the token before them,
 * spaces that it dropped to the token after them; an unknown token stands for
 * the text between its neighbours.
 *
 * @param emitted What the tokens stand for.
 * @param text The text's UTF-8.
 * @returns The byte offset in the text after each token, `[T]`: monotone, and
 * the last is the text's length.
 */
export function alignEnds(emitted: EmittedBytes, text: Uint8Array): Int32Array {
  const ends = isEqual(emitted.bytes, text)
    ? emitted.ends.slice()
    : carriedEnds(emitted, text);
  if (ends.length > 0) ends[ends.length - 1] = text.length;
  return ends;
}

function carriedEnds(
  { bytes, ends, isUnknown }: EmittedBytes,
  text: Uint8Array,
): Int32Array {
  const from = decode(bytes);
  const to = decode(text);
  const { starts, stops } = alignCodePoints(from.codePoints, to.codePoints);
  const out = new Int32Array(ends.length);
  let point = 0;
  let gapStart = 0;
  for (let token = 0; token < ends.length; token++) {
    if (isUnknown(token)) {
      const run = unknownRun(token, ends.length, isUnknown);
      const gapStop = point < starts.length
        ? starts[point]!
        : to.codePoints.length;
      const gap = to.codePoints.subarray(gapStart, Math.max(gapStart, gapStop));
      out.set(
        shareGap(gap, run).map((at) => to.offsets[gapStart + at]!),
        token,
      );
      gapStart = Math.max(gapStart, gapStop);
      token += run - 1;
      continue;
    }
    const end = ends[token]!;
    while (point < stops.length && from.offsets[point + 1]! <= end) {
      gapStart = stops[point++]!;
    }
    out[token] = to.offsets[gapStart]!;
    const inside = end - from.offsets[point]!;
    if (inside > 0) {
      const limit = to.offsets[stops[point]!]!;
      out[token] = Math.min(to.offsets[starts[point]!]! + inside, limit);
    }
  }
  return monotone(out);
}

function unknownRun(
  first: number,
  count: number,
  isUnknown: (token: number) => boolean,
): number {
  let last = first;
  while (last < count && isUnknown(last)) last++;
  return last - first;
}

/** Ends of `count` unknown tokens in the code points between two known ones. */
function shareGap(gap: Uint32Array, count: number): number[] {
  const wordEnds: number[] = [];
  gap.forEach((point, at) => {
    const next = gap[at + 1];
    if (!isSpace(point) && (next === undefined || isSpace(next))) {
      wordEnds.push(at + 1);
    }
  });
  if (wordEnds.length === count) return wordEnds;
  if (gap.length === count) return Array.from(gap, (_, at) => at + 1);
  const last = wordEnds.at(-1) ?? 0;
  return Array.from(
    { length: count },
    (_, at) => Math.round(last * (at + 1) / count),
  );
}

function isSpace(point: number): boolean {
  return /\s/u.test(String.fromCodePoint(point));
}

/** Code points with the byte offset of each, and of the end. */
function decode(bytes: Uint8Array): {
  codePoints: Uint32Array;
  offsets: Uint32Array;
} {
  const codePoints = new Uint32Array(bytes.length);
  const offsets = new Uint32Array(bytes.length + 1);
  let count = 0;
  for (let at = 0; at < bytes.length;) {
    const { point, length } = decodeOne(bytes, at);
    codePoints[count] = point;
    offsets[count++] = at;
    at += length;
  }
  offsets[count] = bytes.length;
  return {
    codePoints: codePoints.subarray(0, count),
    offsets: offsets.subarray(0, count + 1),
  };
}

/** One code point of UTF-8; a byte out of place is one too, U+FFFD. */
function decodeOne(
  bytes: Uint8Array,
  at: number,
): { point: number; length: number } {
  const first = bytes[at]!;
  const length = first < 0x80
    ? 1
    : first >> 5 === 6
    ? 2
    : first >> 4 === 14
    ? 3
    : first >> 3 === 30
    ? 4
    : 0;
  let point = length === 1 ? first : first & (0x7f >> length);
  for (let next = 1; next < length; next++) {
    const byte = bytes[at + next] ?? 0;
    if (byte >> 6 !== 2) return { point: 0xfffd, length: 1 };
    point = point << 6 | byte & 0x3f;
  }
  return length === 0 || point > 0x10ffff
    ? { point: 0xfffd, length: 1 }
    : { point, length };
}

function monotone(ends: Int32Array): Int32Array {
  for (let at = 1; at < ends.length; at++) {
    ends[at] = Math.max(ends[at]!, ends[at - 1]!);
  }
  return ends;
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at++) {
    if (one[at] !== other[at]) return false;
  }
  return true;
}
