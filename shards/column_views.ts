import type { Data, FixedSizeList } from "apache-arrow";

/** A list of lists of one width: `values` is `[values.length / width, width]`. */
export interface NumberTable<A extends Int32Array | Float32Array> {
  /** Entries of every inner list. */
  width: number;
  /** The entries, row-major. */
  values: A;
}

/**
 * Read text, a byte order mark at its start included.
 *
 * @param data The column.
 * @returns The value of a row.
 */
export function utf8View(data: Data): (row: number) => string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const offsets = data.valueOffsets as Int32Array;
  const bytes = data.values as Uint8Array;
  return (row) =>
    decoder.decode(bytes.subarray(offsets[row]!, offsets[row + 1]!));
}

/**
 * Read truth values.
 *
 * @param data The column.
 * @returns The value of a row.
 */
export function boolView(data: Data): (row: number) => boolean {
  const bits = data.values as Uint8Array;
  return (row) => (bits[row >> 3]! >> (row & 7) & 1) === 1;
}

/**
 * Read numbers.
 *
 * @param data The column.
 * @returns The value of a row.
 */
export function scalarView(data: Data): (row: number) => number {
  const values = data.values as Int32Array | Float32Array;
  return (row) => values[row]!;
}

/**
 * Read lists of numbers.
 *
 * @param data The column.
 * @returns A view of the list of a row.
 */
export function listView<A extends Int32Array | Float32Array>(
  data: Data,
): (row: number) => A {
  const offsets = data.valueOffsets as Int32Array;
  const values = data.children[0]!.values as A;
  return (row) => values.subarray(offsets[row]!, offsets[row + 1]!) as A;
}

/**
 * Read lists of lists of one width.
 *
 * @param data The column.
 * @returns A view of the table of a row.
 */
export function tableView<A extends Int32Array | Float32Array>(
  data: Data,
): (row: number) => NumberTable<A> {
  const offsets = data.valueOffsets as Int32Array;
  const lists = data.children[0]!;
  const width = (lists.type as FixedSizeList).listSize;
  const values = lists.children[0]!.values as A;
  return (row) => ({
    width,
    values: values.subarray(
      offsets[row]! * width,
      offsets[row + 1]! * width,
    ) as A,
  });
}

/**
 * Read lists of lists of f16 of one width.
 *
 * @param data The column.
 * @returns The table of a row, copied to f32.
 */
export function halfTableView(
  data: Data,
): (row: number) => NumberTable<Float32Array> {
  // apache-arrow holds f16 as Uint16Array.
  const halves = tableView(data);
  return (row) => {
    const { width, values: { buffer, byteOffset, length } } = halves(row);
    const values = new Float16Array(buffer, byteOffset, length);
    return { width, values: new Float32Array(values) };
  };
}
