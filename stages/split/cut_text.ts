import type { Encoding, Tokenizer } from "#/tokenizers/mod.ts";

/** A piece of a text that fits every tokenizer. */
export interface Block {
  /** The piece: the blocks of a text concatenate to it. */
  text: string;
  /** Tokens of the first tokenizer, BOS and a last block's EOS included. */
  tokens: number;
  /** Whether it ends where a token of every tokenizer does. */
  isCommon: boolean;
}

/** Where a block might end, in bytes of its segment. */
interface Cut {
  end: number;
  isCommon: boolean;
}

/** What every block has to fit. */
interface Limits {
  tokenizers: readonly Tokenizer[];
  /** Tokens of each, without BOS and EOS. */
  budgets: readonly number[];
}

/** A stretch of the text that is encoded at once. */
interface Segment {
  bytes: Uint8Array;
  encodings: readonly Encoding[];
  /** Whether the text ends with it. */
  isTail: boolean;
}

/** Bytes of a segment: texts up to this length are encoded whole. */
const SEGMENT = 2 ** 20;
/** The encoding this close to a segment's end may depend on what follows. */
const MARGIN = 2 ** 10;

/**
 * Cut a text into blocks of at most `maxTokens` tokens of each tokenizer.
 *
 * A block ends at a byte where a token of every tokenizer ends in the encoding of
 * the text, as late as it can, but rather at a paragraph, line or word: up to a
 * third of the block is given for a paragraph, less for less. Every block is
 * encoded once more by itself, as later stages do, and shortened if it grew. Where
 * no byte of a block is common, it ends at the code point in its second half where
 * most tokenizers have a boundary.
 *
 * @param text Any text; an empty one has no blocks.
 * @param tokenizers The target's first, then the sources'.
 * @param maxTokens Limit for each, room for BOS and EOS included.
 * @returns The blocks in order, losing nothing.
 * @throws {RangeError} If one code point does not fit.
 */
export function cutText(
  text: string,
  tokenizers: readonly Tokenizer[],
  maxTokens: number,
): Block[] {
  const bytes = new TextEncoder().encode(text);
  const budgets = tokenizers.map((each) => maxTokens - framed(each, true));
  const blocks: Block[] = [];
  let size = SEGMENT;
  for (let start = 0; start < bytes.length;) {
    const stop = codePointEnd(bytes, start + size);
    const isTail = stop === bytes.length;
    const segment = encoded(bytes.subarray(start, stop), tokenizers, isTail);
    const cuts = cutSegment(segment, { tokenizers, budgets });
    let from = 0;
    for (const { end, isCommon, tokens } of cuts) {
      const isLast = isTail && end === segment.bytes.length;
      blocks.push({
        text: decode(segment.bytes.subarray(from, end)),
        tokens: tokens + framed(tokenizers[0]!, isLast),
        isCommon,
      });
      from = end;
    }
    start += from;
    if (from === 0) size *= 2;
  }
  return blocks;
}

function encoded(
  bytes: Uint8Array,
  tokenizers: readonly Tokenizer[],
  isTail: boolean,
): Segment {
  const text = decode(bytes);
  const encodings = tokenizers.map((each) => each.encode(text));
  return { bytes, encodings, isTail };
}

/** The cuts that the segment's own encoding decides; the rest is the next one's. */
function* cutSegment(
  segment: Segment,
  limits: Limits,
): Generator<Cut & { tokens: number }> {
  const { bytes, isTail } = segment;
  for (let start = 0; start < bytes.length;) {
    const reach = reachOf(segment, start, limits.budgets);
    if (!isTail && reach > bytes.length - MARGIN) return;
    const cut = fittingCut(segment, start, reach, limits);
    yield cut;
    start = cut.end;
  }
}

/** The best cut of a block from `start` on that fits when it is encoded alone. */
function fittingCut(
  segment: Segment,
  start: number,
  reach: number,
  { tokenizers, budgets }: Limits,
): Cut & { tokens: number } {
  const { bytes } = segment;
  let cut = bestCut(segment, start, reach);
  for (;;) {
    const text = decode(bytes.subarray(start, cut.end));
    const counts = tokenizers.map((each) => each.encode(text).ids.length);
    if (counts.every((count, k) => count <= budgets[k]!)) {
      return { ...cut, tokens: counts[0]! };
    }
    if (cut.end <= codePointEnd(bytes, start + 1)) {
      throw new RangeError(
        `Cannot cut a text: the code point ${JSON.stringify(text)} is ` +
          `${counts.join(", ")} tokens, expected at most ${budgets.join(", ")}`,
      );
    }
    cut = bestCut(segment, start, codePointStart(bytes, cut.end - 1));
  }
}

/** The last byte that a block from `start` on may reach within all budgets. */
function reachOf(
  { bytes, encodings }: Segment,
  start: number,
  budgets: readonly number[],
): number {
  const reaches = encodings.map(({ byteEnds }, k) => {
    const first = firstAfter(byteEnds, start);
    const last = first + budgets[k]! - 1;
    return last >= byteEnds.length - 1 ? bytes.length : byteEnds[last] ?? 0;
  });
  return Math.max(start, Math.min(...reaches));
}

/** A common boundary within reach, else a code point. */
function bestCut(
  segment: Segment,
  start: number,
  reach: number,
): Cut {
  const { bytes, encodings } = segment;
  if (reach === bytes.length) return { end: reach, isCommon: true };
  const length = reach - start;
  const votes = new Uint16Array(length + 1);
  for (const { byteEnds } of encodings) {
    let last = start;
    for (let at = firstAfter(byteEnds, start); byteEnds[at]! <= reach; at++) {
      if (byteEnds[at]! > last) votes[byteEnds[at]! - start]!++;
      last = byteEnds[at]!;
    }
  }
  const best = (score: (end: number, votes: number) => number | undefined) =>
    latest(
      start,
      reach,
      (end) =>
        isCodePointStart(bytes, end)
          ? score(end, votes[end - start]!)
          : undefined,
    );
  const common = best((end, votes) =>
    votes === encodings.length ? end - length * costOf(bytes, end) : undefined
  );
  if (common !== undefined) return { end: common, isCommon: true };
  const forced = best((end, votes) =>
    2 * (end - start) >= length ? votes * bytes.length + end : undefined
  );
  return { end: forced ?? codePointEnd(bytes, start + 1), isCommon: false };
}

/** Index of the first token that ends behind `start`. */
function firstAfter(byteEnds: Int32Array, start: number): number {
  let [low, high] = [0, byteEnds.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (byteEnds[middle]! > start) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The end behind `start` up to `reach` with the highest score, of equals the last. */
function latest(
  start: number,
  reach: number,
  scoreOf: (end: number) => number | undefined,
): number | undefined {
  let best: number | undefined;
  let bestScore = -Infinity;
  for (let end = reach; end > start; end--) {
    const score = scoreOf(end);
    if (score === undefined || score <= bestScore) continue;
    best = end;
    bestScore = score;
  }
  return best;
}

const NEWLINE = 0x0a;
const SPACE = 0x20;

/** What share of a block one would give to avoid this cut. */
function costOf(bytes: Uint8Array, end: number): number {
  const [before, after] = [bytes[end - 1], bytes[end]];
  if (before === NEWLINE && bytes[end - 2] === NEWLINE) return 0;
  if (before === NEWLINE) return 0.1;
  if (after === NEWLINE) return 0.12;
  return after === SPACE ? 0.2 : 0.33;
}

/** How many of BOS and EOS later stages put around a block. */
function framed({ special }: Tokenizer, isLast: boolean): number {
  const start = (special.bos ?? special.eos) === undefined ? 0 : 1;
  const end = isLast && special.eos !== undefined ? 1 : 0;
  return start + end;
}

function isCodePointStart(bytes: Uint8Array, at: number): boolean {
  return at >= bytes.length || bytes[at]! >> 6 !== 2;
}

function codePointEnd(bytes: Uint8Array, at: number): number {
  while (!isCodePointStart(bytes, at)) at++;
  return Math.min(at, bytes.length);
}

function codePointStart(bytes: Uint8Array, at: number): number {
  while (!isCodePointStart(bytes, at)) at--;
  return at;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
