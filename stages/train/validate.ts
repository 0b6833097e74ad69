import type { Tokenizer } from "#/tokenizers/mod.ts";
import type { PackedRow } from "#/shards/mod.ts";
import { type Batch, stackRows } from "#/stages/train/batches.ts";
import type { TrainingData } from "#/stages/train/training_data.ts";

/** How well a model predicts held-out rows. */
export interface ValidationScore {
  /** Nats a token. */
  loss: number;
  /** Bits a byte of the text: comparable between tokenizers. */
  bitsPerByte: number;
}

/**
 * Score held-out rows. Special tokens stand for no byte and are not scored.
 *
 * @param data The rows.
 * @param tokenizer Knows which tokens are special and how long the others are.
 * @param batchSize Rows of one forward pass.
 * @param crossEntropy Gives Σ label weight · cross-entropy of a batch.
 * @returns The score.
 */
export async function validate(
  data: TrainingData,
  tokenizer: Tokenizer,
  batchSize: number,
  crossEntropy: (batch: Batch) => Promise<number>,
): Promise<ValidationScore> {
  let nats = 0;
  let tokens = 0;
  let bytes = 0;
  for (let first = 0; first < data.rows; first += batchSize) {
    const count = Math.min(batchSize, data.rows - first);
    const rows = await Promise.all(
      Array.from({ length: count }, (_, i) => data.read(first + i)),
    );
    const batch = stackRows(rows, 1);
    batch.labels.forEach((label, t) => {
      if (tokenizer.specialIds.has(label)) batch.labelWeight[t] = 0;
    });
    tokens += batch.labelWeight.reduce((sum, weight) => sum + weight, 0);
    for (const row of rows) bytes += labelBytes(row, tokenizer);
    nats += await crossEntropy(batch);
  }
  return {
    loss: nats / tokens,
    bitsPerByte: nats / Math.LN2 / (data.bytes ?? bytes),
  };
}

/** Bytes of the text that a row's labels stand for. */
function labelBytes(row: PackedRow, tokenizer: Tokenizer): number {
  let bytes = 0;
  row.labels.forEach((label, t) => {
    if (label < 0) return;
    const token = tokenizer.tokenBytes[label];
    bytes += token?.length ?? 0;
    // The space that SentencePiece puts before a text is not part of it.
    const isFirst = row.position[t] === 0;
    if (isFirst && tokenizer.prefixSpace && token?.[0] === 0x20) bytes--;
  });
  return bytes;
}
