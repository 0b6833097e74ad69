import { mapInOrder } from "#/stages/map_in_order.ts";
import type { AlignedRow, RepresentationRow } from "#/shards/mod.ts";
import {
  type Aligner,
  type AlignVocabularies,
  BlockAligner,
  type BlockAlignerOptions,
} from "./block_aligner.ts";
import type { EvidenceTally } from "./evidence.ts";
import { type JoinedRows, joinRows } from "./join_rows.ts";

/** Two models' representations. */
export interface FacingRows {
  /** The target's representations. */
  targetRows: AsyncIterable<RepresentationRow> | Iterable<RepresentationRow>;
  /** The source's, of the same blocks in the same order. */
  sourceRows: AsyncIterable<RepresentationRow> | Iterable<RepresentationRow>;
}

/** What is aligned with what. */
export interface AlignInputs extends FacingRows, AlignVocabularies {}

/** How rows go through an aligner. */
export interface AlignStreamOptions {
  /** Is told what is kept and lost, row by row before it is returned. */
  evidence?: Pick<EvidenceTally, "add">;
  /** Target tokens that are aligned together, about. Defaults to 4096. */
  batchTokens?: number;
  /** Batches that are under way together. Defaults to 1. */
  concurrency?: number;
  /** Row number of the first rows, for errors. Defaults to 0. */
  firstRow?: number;
}

/** How to align. */
export interface AlignOptions extends BlockAlignerOptions, AlignStreamOptions {}

/**
 * Rewrite a source's distributions over the target's vocabulary, at the
 * target's positions.
 *
 * A row that no source row faces has weight 0 and no distribution; so has one
 * none of whose mass finds a place, as it has nothing to teach. The K' largest
 * masses are kept, and what is missing to 1 is the residual.
 *
 * @param inputs The two representations, the tokenizers and the mapping.
 * @param options See {@linkcode AlignOptions}.
 * @returns One row per block, in their order; one batch of them is in memory.
 * @throws {RangeError} If the rows are not about the same blocks, or the
 * mapping is not one of these tokenizers; naming the row.
 */
export async function* align(
  inputs: AlignInputs,
  options: AlignOptions = {},
): AsyncGenerator<AlignedRow> {
  yield* alignBy(new BlockAligner(inputs, options), inputs, options);
}

/**
 * The same by an aligner that is there.
 *
 * @param aligner What aligns the blocks.
 * @param rows The two representations.
 * @param options See {@linkcode AlignStreamOptions}.
 * @returns One row per block, in their order.
 * @throws {RangeError} If the rows are not about the same blocks, naming the row.
 */
export async function* alignBy(
  aligner: Aligner,
  { targetRows, sourceRows }: FacingRows,
  options: AlignStreamOptions = {},
): AsyncGenerator<AlignedRow> {
  const { batchTokens = 4096, concurrency = 1, firstRow = 0 } = options;
  const joined = joinRows(targetRows, sourceRows, firstRow);
  const batches = mapInOrder(
    batched(joined, batchTokens),
    concurrency,
    (blocks) => aligner.align(blocks),
  );
  for await (const batch of batches) {
    for (const { row, evidence } of batch) {
      options.evidence?.add(evidence);
      yield row;
    }
  }
}

async function* batched(
  rows: AsyncIterable<JoinedRows>,
  batchTokens: number,
): AsyncGenerator<JoinedRows[]> {
  let batch: JoinedRows[] = [];
  let tokens = 0;
  for await (const row of rows) {
    batch.push(row);
    tokens += row.targetRow.inputIds.length;
    if (tokens < batchTokens) continue;
    yield batch;
    batch = [];
    tokens = 0;
  }
  if (batch.length > 0) yield batch;
}
