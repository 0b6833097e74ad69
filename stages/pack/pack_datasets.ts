import { datasets, type PackedRow, readRows } from "#/shards/mod.ts";
import { pack, type PackCounts, type PackOptions } from "#/stages/pack/pack.ts";

/** What is packed, by directory. */
export interface PackInputs {
  /** The target's representations. */
  representations: string;
  /** Aligned rows, by the name of their source. */
  aligned: ReadonlyMap<string, string>;
  /** Own representations of sources, where losses per token are asked for. */
  measured: ReadonlyMap<string, string>;
  /** Which split of all. */
  split: string;
}

/**
 * Pack a split from disk, see {@linkcode pack}.
 *
 * @param inputs What to read.
 * @param options How blocks become rows.
 * @param counts Filled while the rows are read.
 * @returns The training rows.
 * @throws {RangeError} What {@linkcode pack} throws.
 */
export function packDatasets(
  { representations, aligned, measured, split }: PackInputs,
  options: PackOptions,
  counts: PackCounts,
): AsyncGenerator<PackedRow> {
  const read = (directory: string) =>
    readRows(directory, datasets.representations, { split });
  const sources = Array.from(aligned, ([name, directory]) => ({
    name,
    rows: readRows(directory, datasets.aligned, { split }),
    ...measured.has(name) && { representations: read(measured.get(name)!) },
  }));
  return pack(read(representations), sources, options, counts);
}
