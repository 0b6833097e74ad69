import type { PackedRow } from "#/shards/mod.ts";
import { type Distillation, fuseRows } from "#/stages/train/fuse_rows.ts";
import { chunkLogprobs } from "#/stages/train/chunks.ts";
import { epochOrder } from "#/stages/train/random.ts";
import type { TrainingData } from "#/stages/train/training_data.ts";

/** Rows as one forward and backward pass takes them; B rows of T positions. */
export interface Batch {
  /** B. */
  batch: number;
  /** T, at most the rows' length: positions that are padding in all are cut. */
  length: number;
  /** Tokens, `[B, T]`. */
  inputIds: Int32Array<ArrayBuffer>;
  /** Position within the document, `[B, T]`. */
  position: Int32Array<ArrayBuffer>;
  /** Document of each position, `[B, T]`; −1 on padding. */
  document: Int32Array<ArrayBuffer>;
  /** Next token, `[B, T]`; −100 where there is none. */
  labels: Int32Array<ArrayBuffer>;
  /** Factor of the label's cross-entropy, `[B, T]`. */
  labelWeight: Float32Array<ArrayBuffer>;
  /** What the rows learn from besides their labels. */
  fused?: FusedBatch;
  /**
   * The teacher's logprob of the chunk of text that begins at a position, `[B, T]`;
   * NaN where none does.
   */
  chunkLogprobs?: Float32Array<ArrayBuffer>;
}

/** The fused distributions of a batch. */
export interface FusedBatch {
  /** K. */
  topK: number;
  /** Tokens, `[B, T, K]`, padded with −1. */
  ids: Int32Array<ArrayBuffer>;
  /** Their probabilities, `[B, T, K]`. */
  probs: Float32Array<ArrayBuffer>;
  /** The probability of the other tokens, `[B, T]`. */
  residual: Float32Array<ArrayBuffer>;
  /** Factor of the distance, `[B, T]`; 0 without a teacher. */
  weight: Float32Array<ArrayBuffer>;
}

/** What one update learns from. */
export interface StepBatch {
  /** The batches whose gradients add up. */
  batches: Batch[];
  /** Positions that are not padding. */
  tokens: number;
  /** Rows t that have a label. */
  labelled: number;
}

/** How rows become batches. */
export interface BatchOptions {
  /** Rows of one forward pass. */
  batchSize: number;
  /** Forward passes of one update. */
  accumulate: number;
  /** Of the order. */
  seed: number;
  /** Rows after which the data end, however many epochs they make. */
  totalRows: number;
  /** Width of the model's logits. */
  vocabSize: number;
  /** Tokens of the teachers' vocabulary, where it is not the model's. */
  teacherVocabSize?: number | undefined;
  /** Whether the loss compares chunks of text. */
  ofChunks?: boolean | undefined;
  /** How teachers become one; without it, rows learn from labels alone. */
  distillation?: Distillation;
}

/** T is rounded up to a multiple, so that there are few different shapes. */
const LENGTH_MULTIPLE = 32;

/**
 * Read what every update learns from.
 *
 * A row t with a label and a teacher of weight w learns (1 − (1 − λ) w) parts
 * from its label and (1 − λ) w from the fused distribution, over the number of
 * labelled rows of the whole update.
 *
 * @param data The rows.
 * @param options See {@linkcode BatchOptions}.
 * @returns A function that reads the batches of an update, numbered from 1. It
 * throws a RangeError if a token lies outside the vocabulary, or a teacher
 * states no bits per byte.
 */
export function stepReader(
  data: TrainingData,
  options: BatchOptions,
): (step: number) => Promise<StepBatch> {
  const rowAt = shuffledRows(data.rows, options.seed);
  return (step) => {
    const perStep = options.batchSize * options.accumulate;
    const first = (step - 1) * perStep;
    const count = Math.min(perStep, options.totalRows - first);
    const indices = Array.from({ length: count }, (_, i) => rowAt(first + i));
    return readRows(data, indices, options, first / options.totalRows);
  };
}

async function readRows(
  data: TrainingData,
  indices: readonly number[],
  options: BatchOptions,
  progress: number,
): Promise<StepBatch> {
  const { batchSize } = options;
  const rows = await Promise.all(indices.map((row) => data.read(row)));
  rows.forEach((row, i) =>
    checkTokens(row, options.vocabSize, `${data.name}, row ${indices[i]}`)
  );
  const labelled = rows.reduce((sum, { labels }) => sum + countFrom(labels), 0);
  const tokens = rows.reduce((sum, row) => sum + countFrom(row.document), 0);

  const batches: Batch[] = [];
  for (let first = 0; first < rows.length; first += batchSize) {
    const part = rows.slice(first, first + batchSize);
    const batch = stackRows(part, 1 / Math.max(1, labelled));
    if (options.distillation) {
      fuseRows(batch, part, options.distillation, {
        vocabSize: options.teacherVocabSize ?? options.vocabSize,
        progress,
        nameOf: (row) => `${data.name}, row ${indices[first + row]}`,
      });
    }
    if (options.distillation && options.ofChunks) {
      batch.chunkLogprobs = chunkLogprobs(
        part,
        options.distillation.teachers,
        batch.length,
        (row) => `${data.name}, row ${indices[first + row]}`,
      );
    }
    batches.push(batch);
  }
  return { batches, tokens, labelled };
}

/**
 * Stack rows, without the padding that all of them end with.
 *
 * @param rows The rows.
 * @param labelWeight What every label counts.
 * @returns A batch without teachers.
 */
export function stackRows(
  rows: readonly PackedRow[],
  labelWeight: number,
): Batch {
  const length = usedLength(rows);
  const stack = (field: "inputIds" | "position" | "document" | "labels") => {
    const out = new Int32Array(rows.length * length);
    rows.forEach((row, b) =>
      out.set(row[field].subarray(0, length), b * length)
    );
    return out;
  };
  const labels = stack("labels");
  return {
    batch: rows.length,
    length,
    inputIds: stack("inputIds"),
    position: stack("position"),
    document: stack("document"),
    labels,
    labelWeight: Float32Array.from(
      labels,
      (label) => label < 0 ? 0 : labelWeight,
    ),
  };
}

/** The row visited at each turn, epoch after epoch, every one shuffled anew. */
function shuffledRows(rows: number, seed: number): (turn: number) => number {
  let epoch = -1;
  let order: Uint32Array = new Uint32Array();
  return (turn) => {
    const current = Math.floor(turn / rows);
    if (current !== epoch) order = epochOrder(rows, seed, current);
    epoch = current;
    return order[turn % rows]!;
  };
}

function usedLength(rows: readonly PackedRow[]): number {
  const length = rows[0]!.document.length;
  const used = rows.map(({ document }) =>
    document.findLastIndex((document) => document >= 0) + 1
  );
  const rounded = Math.ceil(Math.max(1, ...used) / LENGTH_MULTIPLE) *
    LENGTH_MULTIPLE;
  return Math.min(length, rounded);
}

function countFrom(values: Int32Array): number {
  let count = 0;
  for (const value of values) if (value >= 0) count++;
  return count;
}

function checkTokens(row: PackedRow, vocabSize: number, where: string): void {
  for (const field of ["inputIds", "labels"] as const) {
    const index = row[field].findIndex((id) =>
      id >= vocabSize || (id < 0 && id !== -100)
    );
    if (index < 0) continue;
    throw new RangeError(
      `Cannot train on ${where}: ${field}[${index}] is ${row[field][index]}, ` +
        `expected less than the model's vocabulary of ${vocabSize}`,
    );
  }
}
