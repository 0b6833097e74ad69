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

/** Where a block might end. */
interface Cut {
  end: number;
  isCommon: boolean;
}

/** Characters a token that the first window allows for. */
const WIDE_TOKEN = 5;
/** How much more than the last block the next window shows. */
const WINDOW_SLACK = 1.25;

/**
 * Cut a text into blocks of at most `maxTokens` tokens of each tokenizer.
 *
 * A block ends at a byte where a token of every tokenizer ends, as late as it
 * can, but rather at a paragraph, line or word: a third of the block is given for a
 * paragraph, less for less. Every block is encoded once more by itself, as later
 * stages do, and shortened if it grew. Where no byte of a block is common, it
 * ends at the code point where most tokenizers have a boundary.
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
  const budgets = tokenizers.map((each) => maxTokens - frameOf(each));
  const blocks: Block[] = [];
  let size = WIDE_TOKEN * maxTokens;
  for (let start = 0; start < bytes.length;) {
    const { cut, encodings, isAll } = firstCut(bytes, start, size, {
      tokenizers,
      budgets,
    });
    const isLast = isAll && start + cut.end === bytes.length;
    const checked = isLast
      ? { cut, tokens: encodings[0]!.ids.length }
      : shortened(bytes.subarray(start), { cut, encodings }, {
        tokenizers,
        budgets,
      });
    const { end, isCommon } = checked.cut;
    blocks.push({
      text: decode(bytes.subarray(start, start + end)),
      tokens: checked.tokens + framed(tokenizers[0]!, isLast),
      isCommon,
    });
    start += end;
    size = Math.ceil(end * WINDOW_SLACK);
  }
  return blocks;
}

interface Limits {
  tokenizers: readonly Tokenizer[];
  budgets: readonly number[];
}

/** The best cut in a window that is wide enough to need one, or the text's end. */
function firstCut(
  bytes: Uint8Array,
  start: number,
  size: number,
  { tokenizers, budgets }: Limits,
): { cut: Cut; encodings: Encoding[]; isAll: boolean } {
  for (;; size *= 2) {
    const stop = codePointEnd(bytes, start + size);
    const window = bytes.subarray(start, stop);
    const text = decode(window);
    const encodings = tokenizers.map((each) => each.encode(text));
    const fits = encodings.every(({ ids }, k) => ids.length <= budgets[k]!);
    if (fits && stop < bytes.length) continue;
    if (!fits) {
      return {
        cut: bestCut(window, encodings, budgets),
        encodings,
        isAll: false,
      };
    }
    return {
      cut: { end: window.length, isCommon: true },
      encodings,
      isAll: true,
    };
  }
}

/** The cut, moved forward until the block fits when it is encoded alone. */
function shortened(
  rest: Uint8Array,
  { cut, encodings }: { cut: Cut; encodings: readonly Encoding[] },
  { tokenizers, budgets }: Limits,
): { cut: Cut; tokens: number } {
  let left = [...budgets];
  const window = rest.subarray(0, encodings[0]!.byteEnds.at(-1) ?? 0);
  for (;;) {
    const text = decode(rest.subarray(0, cut.end));
    const counts = tokenizers.map((each) => each.encode(text).ids.length);
    if (counts.every((count, k) => count <= budgets[k]!)) {
      return { cut, tokens: counts[0]! };
    }
    if (cut.end <= codePointEnd(rest, 1)) {
      throw new RangeError(
        `Cannot cut a text: the code point ${JSON.stringify(text)} is ` +
          `${counts.join(", ")} tokens, expected at most ${budgets.join(", ")}`,
      );
    }
    // At least one token less for those that overflowed, or were cut at already.
    left = left.map((budget, k) =>
      counts[k]! > budgets[k]! ? budget - (counts[k]! - budgets[k]!) : budget
    );
    const next = bestCut(window, encodings, left);
    cut = next.end < cut.end ? next : {
      end: codePointStart(rest, cut.end - 1),
      isCommon: false,
    };
  }
}

/** The best place within the budgets: a common boundary, else a code point. */
function bestCut(
  window: Uint8Array,
  encodings: readonly Encoding[],
  budgets: readonly number[],
): Cut {
  const limit = Math.min(
    ...encodings.map(({ byteEnds }, k) =>
      byteEnds.length <= budgets[k]!
        ? window.length
        : byteEnds[budgets[k]! - 1] ?? 0
    ),
  );
  const votes = new Uint16Array(limit + 1);
  for (const { byteEnds } of encodings) {
    let last = 0;
    for (const end of byteEnds) {
      if (end > limit) break;
      if (end > last) votes[end]!++;
      last = end;
    }
  }
  const common = latest(
    limit,
    (end) =>
      votes[end] === encodings.length && isCodePointStart(window, end)
        ? end - limit * costOf(window, end)
        : undefined,
  );
  if (common !== undefined) return { end: common, isCommon: true };
  const forced = latest(
    limit,
    (end) =>
      2 * end >= limit && isCodePointStart(window, end)
        ? votes[end]! * window.length + end
        : undefined,
  );
  return { end: forced ?? codePointEnd(window, 1), isCommon: false };
}

/** The end from 1 to `limit` with the highest score, of equals the last. */
function latest(
  limit: number,
  scoreOf: (end: number) => number | undefined,
): number | undefined {
  let best: number | undefined;
  let bestScore = -Infinity;
  for (let end = limit; end > 0; end--) {
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
  if (after === NEWLINE) return 0.15;
  return after === SPACE ? 0.2 : 0.33;
}

/** Tokens that later stages put around a block at most. */
function frameOf(tokenizer: Tokenizer): number {
  return framed(tokenizer, true);
}

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
