import {
  type LengthBatchOptions,
  mapByLength,
  padRight,
} from "#/stages/length_batches.ts";
import type { TopScorer } from "#/stages/scorer_pool.ts";

/** A text as a model reads it, some of whose tokens are scored. */
export interface Continuation {
  /** Token ids. */
  ids: Int32Array;
  /** The first token that is scored, at least 1: the first has no prediction. */
  from: number;
  /** Whether `ids[0]` is a start token, which every window then begins with. */
  hasStart: boolean;
}

/** What a continuation costs. */
export interface Score {
  /** Negative log-likelihood of the scored tokens, in nats. */
  nats: number;
  /** How many tokens were scored. */
  tokens: number;
}

/** One forward pass over part of a continuation. */
interface Window {
  ids: Int32Array;
  /** The rows whose labels are scored. */
  rows: { start: number; end: number };
  /** What is passed over in errors. */
  where: string;
  isLast: boolean;
}

/**
 * Score continuations. One that is longer than the model's context goes through
 * in overlapping windows: every token is scored once, with at least half a
 * context before it where there are as many tokens.
 *
 * @param items Continuations with a description for errors, such as file and line.
 * @param scorer The model.
 * @param options `batchTokens`: positions of a batch at most, 2048 by default;
 * `concurrency`: batches that the model is given together, 1 by default.
 * @returns One score per continuation, in order.
 * @throws {RangeError} If the model computes NaN, or has no logit for a token.
 */
export async function* logLikelihoods(
  items: AsyncIterable<Continuation & { where: string }>,
  scorer: TopScorer,
  { batchTokens = 2048, concurrency = 1 }: Partial<LengthBatchOptions> = {},
): AsyncGenerator<Score> {
  let sum: Score = { nats: 0, tokens: 0 };
  const windows = mapByLength(
    windowsOf(items, scorer),
    ({ ids }) => ids.length,
    (batch) => scoreWindows(batch, scorer),
    { batchTokens, concurrency },
  );
  for await (const { nats, tokens, isLast } of windows) {
    sum = { nats: sum.nats + nats, tokens: sum.tokens + tokens };
    if (!isLast) continue;
    yield sum;
    sum = { nats: 0, tokens: 0 };
  }
}

/**
 * Cut a continuation into windows no longer than the context.
 *
 * @param continuation What is scored.
 * @param contextLength Longest sequence of the model, at least 2.
 * @returns Ids of every window and the rows (not labels) that are scored in it.
 */
export function* cutWindows(
  { ids, from, hasStart }: Continuation,
  contextLength: number,
): Generator<{ ids: Int32Array; rows: { start: number; end: number } }> {
  if (ids.length <= contextLength) {
    const end = Math.max(0, ids.length - 1);
    yield { ids, rows: { start: Math.min(from - 1, end), end } };
    return;
  }
  const head = hasStart ? ids.subarray(0, 1) : ids.subarray(0, 0);
  const room = contextLength - head.length;
  const stride = Math.max(1, Math.floor(contextLength / 2));
  for (let next = from; next < ids.length;) {
    // The first window may score all it holds, if that is where scoring starts.
    const end = Math.min(ids.length, Math.max(next + stride, contextLength));
    const start = Math.max(head.length, end - room);
    const shift = start - head.length;
    yield {
      ids: Int32Array.from([...head, ...ids.subarray(start, end)]),
      rows: { start: next - shift - 1, end: end - shift - 1 },
    };
    next = end;
  }
}

async function* windowsOf(
  items: AsyncIterable<Continuation & { where: string }>,
  scorer: TopScorer,
): AsyncGenerator<Window> {
  for await (const item of items) {
    const foreign = item.ids.find((id) => id >= scorer.vocabSize);
    if (foreign !== undefined) {
      throw new RangeError(
        `Cannot score ${item.where}: its tokenizer gives id ${foreign}, ` +
          `expected ids below ${scorer.vocabSize}, the model's vocab_size`,
      );
    }
    const windows = [...cutWindows(item, scorer.contextLength)];
    for (const [i, window] of windows.entries()) {
      const isLast = i === windows.length - 1;
      yield { ...window, where: item.where, isLast };
    }
  }
}

async function scoreWindows(
  batch: readonly Window[],
  scorer: TopScorer,
): Promise<(Score & { isLast: boolean })[]> {
  const { inputIds, batch: count, length } = padRight(
    batch.map(({ ids }) => ids),
  );
  const isScored = batch.some(({ rows }) => rows.end > rows.start);
  const { labelLogprobs } = isScored
    ? await scorer.topLogprobs(inputIds, count, length, 1)
    : { labelLogprobs: new Float32Array(count * length) };
  return batch.map(({ rows, where, isLast }, i) => {
    let nats = 0;
    for (let t = rows.start; t < rows.end; t++) {
      nats -= labelLogprobs[i * length + t]!;
    }
    if (Number.isNaN(nats)) {
      throw new RangeError(`Cannot score ${where}: the model computes NaN`);
    }
    return { nats, tokens: rows.end - rows.start, isLast };
  });
}
