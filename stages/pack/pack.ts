import type { PackedRow } from "#/shards/mod.ts";
import {
  joinBlocks,
  type JoinedBlock,
  type PackSource,
  type Representations,
} from "#/stages/pack/join_blocks.ts";
import { natsPerToken } from "#/stages/pack/nats_per_token.ts";
import { OpenRow } from "#/stages/pack/open_row.ts";
import { type PackDefects, packDefects } from "#/stages/pack/pack_defects.ts";
import { sliceBlock } from "#/stages/pack/slice_block.ts";
import { switchesOf } from "#/stages/reference_switches.ts";

export type { PackSource, Representations };
export { type PackDefects, packDefects };

/** How blocks become rows. */
export interface PackOptions {
  /** L, positions of a row. Defaults to 2048. */
  length?: number;
  /** Whether a block with a NaN is left out instead of an error. Defaults to false. */
  filterNan?: boolean;
  /** Rows that wait for blocks at once. Defaults to 32. */
  openRows?: number;
  /** What to do as published. Defaults to nothing. */
  defects?: PackDefects;
}

/** Blocks that the published code packs at a time. */
const MAP_BATCH = 1000;

/** What happened to the blocks; filled while the rows are read. */
export interface PackCounts {
  /** Blocks packed. */
  blocks: number;
  /** Blocks left out because of a NaN. */
  dropped: number;
  /** UTF-8 bytes of the text of the packed blocks. */
  bytes: number;
}

/**
 * Pack blocks into training rows of one length.
 *
 * First fit: a block goes into the first open row with room for it, and is
 * never cut. Where none has room and as many rows as allowed are open, the one
 * with the least room is closed, the oldest of several; so memory is bounded,
 * and the order of the rows depends on the blocks alone. Labels stay inside
 * a block: the last row of each has none.
 *
 * @example One block of three tokens in a row of five
 * ```ts
 * import assert from "node:assert/strict";
 * import { pack } from "#/stages/pack/pack.ts";
 *
 * const block = {
 *   id: "a",
 *   textHash: "",
 *   inputIds: Int32Array.of(1, 7, 9),
 *   byteEnds: Int32Array.of(0, 2, 4),
 *   topK: 1,
 *   topkIds: Int32Array.of(7, 9, 3),
 *   topkLogprobs: Float32Array.of(-1, -1, -1),
 *   labelLogprobs: Float32Array.of(-1, -1, NaN),
 *   bitsPerByte: 0.7,
 * };
 * const [row] = await Array.fromAsync(pack([block], [], { length: 5 }));
 * assert.deepEqual([...row!.labels], [7, 9, -100, -100, -100]);
 * assert.deepEqual([...row!.document], [0, 0, 0, -1, -1]);
 * ```
 *
 * @param representations The target's representations.
 * @param sources The aligned rows of each source, in the same order.
 * @param options How blocks become rows.
 * @param counts Filled while the rows are read.
 * @returns The training rows.
 * @throws {RangeError} If a block is longer than a row or holds a NaN, or a
 * source's rows are not about the same blocks, naming the row.
 */
export async function* pack(
  representations: Representations,
  sources: readonly PackSource[] = [],
  options: PackOptions = {},
  counts: PackCounts = { blocks: 0, dropped: 0, bytes: 0 },
): AsyncGenerator<PackedRow> {
  const { length = 2048, filterNan = false, openRows = 32 } = options;
  const { defects = switchesOf(packDefects, []) } = options;
  const across = {
    attention: defects["attention-across"],
    labels: defects["labels-across"],
  };
  let widths: Map<string, number> | undefined;
  const open: OpenRow[] = [];
  let index = -1;
  const joined = joinBlocks(
    representations,
    sources,
    (labels) => natsPerToken(labels, defects["f16-metrics"]),
  );
  for await (const block of joined) {
    index++;
    if (defects["map-batches"] && index > 0 && index % MAP_BATCH === 0) {
      for (const { row } of open.splice(0)) yield row;
    }
    if (block.nan !== undefined && filterNan) {
      counts.dropped++;
      continue;
    }
    widths ??= widthsOf(block);
    const isCut = defects["cut-documents"];
    checkBlock(block, index, isCut ? Infinity : length, widths);
    counts.blocks++;
    counts.bytes += block.bytes;
    const tokens = block.inputIds.length;
    for (let from = 0; from < tokens;) {
      let row = open.find(({ room }) => isCut || room >= tokens);
      if (!row) {
        if (open.length >= openRows) yield close(open, fullest(open)).row;
        row = new OpenRow(length, widths, across);
        open.push(row);
      }
      const to = Math.min(tokens, from + row.room);
      row.add(sliceBlock(block, from, to));
      from = to;
      if (row.room === 0) yield close(open, row).row;
    }
  }
  for (const { row } of open) yield row;
}

function widthsOf({ teachers }: JoinedBlock): Map<string, number> {
  return new Map([...teachers].map(([name, { topK }]) => [name, topK]));
}

function checkBlock(
  { id, inputIds, teachers, nan }: JoinedBlock,
  index: number,
  length: number,
  widths: ReadonlyMap<string, number>,
): void {
  if (nan !== undefined) {
    throw new RangeError(
      `Cannot pack row ${index}, block ${id}: ${nan} is NaN, expected a ` +
        `number (--filter-nan leaves such blocks out)`,
    );
  }
  if (inputIds.length > length) {
    throw new RangeError(
      `Cannot pack row ${index}, block ${id}: it has ${inputIds.length} ` +
        `tokens, expected at most ${length}: give a larger --length`,
    );
  }
  for (const [name, { topK }] of teachers) {
    if (topK === widths.get(name)) continue;
    throw new RangeError(
      `Cannot pack row ${index}, block ${id}: the top-k of ${name} has ` +
        `${topK} entries, expected ${widths.get(name)} as in the first row`,
    );
  }
}

function fullest(open: readonly OpenRow[]): OpenRow {
  return open.reduce((best, row) => row.room < best.room ? row : best);
}

function close(open: OpenRow[], row: OpenRow): OpenRow {
  open.splice(open.indexOf(row), 1);
  return row;
}
