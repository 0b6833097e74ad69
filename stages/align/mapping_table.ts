import type { VocabMappingRow } from "#/shards/mod.ts";

/** Rows of a vocabulary mapping, `[rows, 4]`, in memory that threads share. */
export type MappingTable = Float64Array<SharedArrayBuffer>;

const WIDTH = 4;

/**
 * Lay a mapping out for several threads.
 *
 * @param rows The mapping.
 * @returns The same.
 */
export function mappingTable(rows: readonly VocabMappingRow[]): MappingTable {
  const bytes = rows.length * WIDTH * Float64Array.BYTES_PER_ELEMENT;
  const table = new Float64Array(new SharedArrayBuffer(bytes));
  rows.forEach(({ sourceId, targetId, distance, weight }, row) => {
    const at = row * WIDTH;
    table[at] = sourceId;
    table[at + 1] = targetId;
    table[at + 2] = distance;
    table[at + 3] = weight;
  });
  return table;
}

/**
 * Read the rows back.
 *
 * @param table What {@linkcode mappingTable} has laid out.
 * @returns The mapping.
 */
export function* mappingOf(table: MappingTable): Generator<VocabMappingRow> {
  for (let at = 0; at < table.length; at += WIDTH) {
    yield {
      sourceId: table[at]!,
      targetId: table[at + 1]!,
      distance: table[at + 2]!,
      weight: table[at + 3]!,
    };
  }
}
