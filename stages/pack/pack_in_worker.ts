import type { PackedRow } from "#/shards/mod.ts";
import type { PackCounts, PackOptions } from "#/stages/pack/pack.ts";
import type { PackInputs } from "#/stages/pack/pack_datasets.ts";
import type { PackedPart, PackMethods } from "#/stages/pack/pack_worker.ts";
import { buffersOf, RemoteMethods } from "#/stages/rpc.ts";

/**
 * Pack a split in a worker, which reads and packs while its rows are written
 * here: as {@linkcode packDatasets}, with the same rows and the same errors.
 *
 * A row's arrays are given back when the next row is asked for.
 *
 * @param inputs What to read.
 * @param options How blocks become rows.
 * @param counts Filled while the rows are read.
 * @returns The training rows.
 * @throws {RangeError} What {@linkcode packDatasets} throws.
 */
export async function* packInWorker(
  inputs: PackInputs,
  options: PackOptions,
  counts: PackCounts,
): AsyncGenerator<PackedRow> {
  const url = new URL("./pack_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  using remote = new RemoteMethods<PackMethods>(worker);
  const ask = (): Promise<PackedPart> => {
    const part = remote.call("next", []);
    part.catch(() => {}); // thrown where it is awaited
    return part;
  };
  await remote.call("open", [inputs, options]);
  for (let next: Promise<PackedPart> | undefined = ask(); next;) {
    const { rows, isLast, counts: soFar }: PackedPart = await next;
    next = isLast ? undefined : ask();
    Object.assign(counts, soFar);
    for (const row of rows) {
      yield row;
      for (const buffer of buffersOfRow(row)) buffer.transfer(0);
    }
  }
}

/**
 * The buffers of a row, each an array's own.
 *
 * @param row The row.
 * @returns One for every array.
 */
export function buffersOfRow(row: PackedRow): ArrayBuffer[] {
  return [row, ...Object.values(row.teachers)].flatMap(buffersOf);
}
