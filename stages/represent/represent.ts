import { createHash } from "node:crypto";
import type { RepresentationRow, TextRow } from "#/shards/mod.ts";
import { mapByLength, padRight } from "#/stages/length_batches.ts";
import { realTokens } from "#/stages/real_tokens.ts";
import { type Switches, switchesOf } from "#/stages/reference_switches.ts";
import type { TopScorer } from "#/stages/scorer_pool.ts";
import { startId, type Tokenizer } from "#/tokenizers/mod.ts";
import { realTopLogprobs, type TopLogprobs } from "./topk.ts";

/** What published capture does that is thought to be wrong, one switch each. */
export const representDefects = {
  "eos-everywhere": "EOS closes every block, also inside of a document",
  "no-bos": "sequences start with the text, whose first token nobody predicts",
  "truncation":
    "a block longer than the context is cut there, each model's by itself",
} as const;

/** Which of them are switched on. */
export type RepresentDefects = Switches<typeof representDefects>;

/** A model to ask, with its tokenizer. */
export interface RepresentModel {
  /** Its tokenizer. */
  tokenizer: Tokenizer;
  /** Its forward pass. */
  scorer: TopScorer;
}

/** How to represent. */
export interface RepresentOptions {
  /** How many tokens are kept of every distribution. Defaults to 10. */
  topK?: number;
  /** Positions of a batch at most, padding included. Defaults to 2048. */
  batchTokens?: number;
  /** Batches that the model is given together. Defaults to 1. */
  concurrency?: number;
  /** Keep a block where the model computes NaN, without distributions there, instead of an error. */
  filterNan?: boolean;
  /** What to do as published. Defaults to nothing. */
  defects?: RepresentDefects;
  /** Called with the tokens and blocks of every batch that is done. */
  onBatch?: (tokens: number, blocks: number) => void;
}

const CORRECTED = switchesOf(representDefects, []);

/** A block as the model reads it. */
interface Sequence {
  row: TextRow;
  ids: Int32Array;
  byteEnds: Int32Array;
}

/**
 * Write down what a model predicts at every position of every block.
 *
 * A sequence starts with BOS (EOS where there is none), so that every byte is
 * predicted; EOS closes a document's last block only. Logprobs are over the
 * whole width of the logits. Ids beyond the tokenizer's vocabulary (padding)
 * stand for no token: they never are among the top k, their mass stays in the
 * residual. Bits per byte count the block's text, not EOS; 0 for an empty block.
 *
 * With `filterNan`, a position without numbers has ids −1 and logprobs −∞, and
 * the block's bits per byte are NaN: `pack --filter-nan` leaves it out.
 *
 * @param rows The blocks.
 * @param model The model and its tokenizer.
 * @param options See {@linkcode RepresentOptions}.
 * @returns One row per block, in their order.
 * @throws {RangeError} If a block is longer than the model's context, or the
 * model has no logit for one of its tokens, or it computes NaN; naming the row.
 */
export async function* represent(
  rows: AsyncIterable<TextRow> | Iterable<TextRow>,
  { tokenizer, scorer }: RepresentModel,
  options: RepresentOptions = {},
): AsyncGenerator<RepresentationRow> {
  const { topK = 10, batchTokens = 2048, filterNan = false } = options;
  const { concurrency = 1 } = options;
  const real = realTokens(tokenizer, scorer.vocabSize);
  const score = realTopLogprobs(scorer, real, topK);
  yield* mapByLength(
    sequences(rows, { tokenizer, scorer }, options.defects ?? CORRECTED),
    ({ ids }) => ids.length,
    async (batch) => {
      const padded = padRight(batch.map(({ ids }) => ids));
      const top = await score(padded.inputIds, padded.batch, padded.length);
      const tokens = batch.reduce((sum, { ids }) => sum + ids.length, 0);
      options.onBatch?.(tokens, batch.length);
      return batch.map((sequence, i) => {
        const part = cut(top, i * padded.length, sequence.ids.length);
        handleNan(sequence, part, filterNan);
        return representation(sequence, part);
      });
    },
    { batchTokens, concurrency },
  );
}

async function* sequences(
  rows: AsyncIterable<TextRow> | Iterable<TextRow>,
  { tokenizer, scorer }: RepresentModel,
  defects: RepresentDefects,
): AsyncGenerator<Sequence> {
  for await (const row of rows) {
    const whole = encode(row, tokenizer, defects);
    const sequence = defects.truncation
      ? truncated(whole, scorer.contextLength)
      : whole;
    const { length } = sequence.ids;
    if (length > scorer.contextLength) {
      throw new RangeError(
        `Cannot represent block ${row.id}: it has ${length} tokens, expected ` +
          `at most ${scorer.contextLength}, the model's context (split with a ` +
          `smaller --max-tokens)`,
      );
    }
    const foreign = sequence.ids.find((id) => id >= scorer.vocabSize);
    if (foreign !== undefined) {
      throw new RangeError(
        `Cannot represent block ${row.id}: its tokenizer gives id ${foreign}, ` +
          `expected ids below ${scorer.vocabSize}, the model's vocab_size`,
      );
    }
    yield sequence;
  }
}

/** As published: without a word, and without the EOS at its end. */
function truncated({ row, ids, byteEnds }: Sequence, length: number): Sequence {
  return {
    row,
    ids: ids.subarray(0, length),
    byteEnds: byteEnds.subarray(0, length),
  };
}

function encode(
  row: TextRow,
  tokenizer: Tokenizer,
  defects: RepresentDefects,
): Sequence {
  const encoding = tokenizer.encode(row.text);
  const start = defects["no-bos"] ? undefined : startId(tokenizer);
  const { eos } = tokenizer.special;
  const before = start === undefined ? [] : [start];
  const isClosed = row.last || defects["eos-everywhere"];
  const after = isClosed && eos !== undefined ? [eos] : [];
  const end = encoding.byteEnds.at(-1) ?? 0;
  return {
    row,
    ids: Int32Array.from([...before, ...encoding.ids, ...after]),
    byteEnds: Int32Array.from([
      ...before.map(() => 0),
      ...encoding.byteEnds,
      ...after.map(() => end),
    ]),
  };
}

/** The positions of one sequence, out of its batch; the last has no label. */
function cut(top: TopLogprobs, start: number, length: number): TopLogprobs {
  const { topK } = top;
  const end = start + length;
  const part = {
    topK,
    topkIds: top.topkIds.slice(start * topK, end * topK),
    topkLogprobs: top.topkLogprobs.slice(start * topK, end * topK),
    labelLogprobs: top.labelLogprobs.slice(start, end),
  };
  part.labelLogprobs[length - 1] = NaN;
  return part;
}

function handleNan(
  { row }: Sequence,
  { topK, topkIds, topkLogprobs, labelLogprobs }: TopLogprobs,
  filterNan: boolean,
): void {
  const last = labelLogprobs.length - 1;
  for (let t = 0; t <= last; t++) {
    const [from, to] = [t * topK, (t + 1) * topK];
    const isNan = topkLogprobs.subarray(from, to).some(Number.isNaN) ||
      (t < last && Number.isNaN(labelLogprobs[t]));
    if (!isNan) continue;
    if (!filterNan) {
      throw new RangeError(
        `Cannot represent block ${row.id}: the model computes NaN at position ` +
          `${t} (--filter-nan marks such blocks instead)`,
      );
    }
    topkIds.fill(-1, from, to);
    topkLogprobs.fill(-Infinity, from, to);
    labelLogprobs[t] = NaN;
  }
}

function representation(
  { row, ids, byteEnds }: Sequence,
  top: TopLogprobs,
): RepresentationRow {
  return {
    id: row.id,
    textHash: createHash("sha256").update(row.text).digest("hex"),
    inputIds: ids,
    byteEnds,
    ...top,
    bitsPerByte: bitsPerByte(byteEnds, top.labelLogprobs),
  };
}

/** Zero-byte tokens of the text count, EOS behind it does not. */
function bitsPerByte(byteEnds: Int32Array, labelLogprobs: Float32Array) {
  const bytes = (byteEnds.at(-1) ?? 0) - (byteEnds[0] ?? 0);
  if (bytes === 0) return 0;
  let nats = 0;
  for (
    let t = 0;
    t + 1 < byteEnds.length && byteEnds[t]! < byteEnds.at(-1)!;
    t++
  ) {
    nats -= labelLogprobs[t]!;
  }
  return nats / Math.LN2 / bytes;
}
