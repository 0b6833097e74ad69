/**
 * Reads and packs for {@linkcode packInWorker}.
 *
 * @module
 */
import type { PackedRow } from "#/shards/mod.ts";
import type { PackCounts, PackOptions } from "#/stages/pack/pack.ts";
import { packDatasets, type PackInputs } from "#/stages/pack/pack_datasets.ts";
import { buffersOfRow } from "#/stages/pack/pack_in_worker.ts";
import { serve } from "#/stages/rpc.ts";

/** Some rows. */
export interface PackedPart {
  /** The rows. */
  rows: PackedRow[];
  /** What happened to the blocks so far. */
  counts: PackCounts;
  /** Whether no row follows. */
  isLast: boolean;
}

/** Of a part, at least, unless it is the last. */
const PART_BYTES = 2 ** 20;

const counts: PackCounts = { blocks: 0, dropped: 0, bytes: 0 };
let packed: AsyncGenerator<PackedRow>;

const offered = {
  /** Gets ready. */
  open(inputs: PackInputs, options: PackOptions): Promise<void> {
    packed = packDatasets(inputs, options, counts);
    return Promise.resolve();
  },
  /** The next rows. */
  async next(): Promise<PackedPart> {
    const rows: PackedRow[] = [];
    for (let bytes = 0; bytes < PART_BYTES;) {
      const { value, done } = await packed.next();
      if (done) return { rows, counts, isLast: true };
      rows.push(value);
      for (const { byteLength } of buffersOfRow(value)) bytes += byteLength;
    }
    return { rows, counts, isLast: false };
  },
};

/** What the worker answers. */
export type PackMethods = typeof offered;

serve(
  offered,
  (result) => result ? (result as PackedPart).rows.flatMap(buffersOfRow) : [],
);
