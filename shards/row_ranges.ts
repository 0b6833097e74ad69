import { ONLY_SPLIT } from "#/shards/layout.ts";
import type { ReadOptions } from "#/shards/read_rows.ts";
import { splitBatches } from "#/shards/split_batches.ts";

/** Rows of a split. */
export interface RowRange {
  /** The first of them. */
  first: number;
  /** The row behind the last. */
  end: number;
}

/** Numbers in the columns of a range, about: 1 MiB where each takes 4 bytes. */
const VALUES = 2 ** 18;

/**
 * Divide a split into ranges of rows that are worked on at once, about 1 MiB
 * each, reading metadata only.
 *
 * Where a range ends depends on the rows alone, wherever one begins.
 *
 * @param directory The dataset.
 * @param options Which rows.
 * @returns The ranges, in order.
 * @throws {Error} If the dataset is not complete.
 * @throws {SyntaxError} If a shard is truncated or no Arrow IPC stream.
 */
export async function* rowRanges(
  directory: string,
  { split = ONLY_SPLIT, skip = 0 }: ReadOptions = {},
): AsyncGenerator<RowRange> {
  for await (const batch of splitBatches(directory, split)) {
    const { rows, values, first } = batch;
    const ranges = Math.min(rows, Math.ceil(values / VALUES));
    let begin = first;
    for (let range = 1; range <= ranges; range++) {
      const end = first + Math.round(rows * range / ranges);
      if (end > skip) yield { first: Math.max(begin, skip), end };
      begin = end;
    }
  }
}
