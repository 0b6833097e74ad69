import {
  Bool,
  type Data,
  type DataType,
  Field,
  FixedSizeList,
  Float16,
  Float32,
  Int32,
  List,
  makeData,
  Utf8,
} from "apache-arrow";
import { GrowingArray } from "#/shards/growing_array.ts";
import type { NumberTable } from "#/shards/column_views.ts";

/** Collects the values of one column until they make a batch. */
export interface ColumnBuilder<Value> {
  /** Bytes collected so far. */
  byteLength(): number;
  /** Add the value of one more row. */
  append(value: Value): void;
  /** The column so far; valid until the next `append` or `clear`. */
  finish(rows: number): Data;
  /** Forget all rows. */
  clear(): void;
}

/**
 * Text.
 *
 * @returns An empty column.
 */
export function utf8Builder(): ColumnBuilder<string> {
  const encoder = new TextEncoder();
  const bytes = new GrowingArray(uint8Array);
  const offsets = new Offsets();
  return {
    byteLength: () => bytes.length + offsets.byteLength,
    append(value) {
      bytes.append(encoder.encode(value));
      offsets.push(bytes.length);
    },
    finish: (length) =>
      makeData({
        type: new Utf8(),
        length,
        nullCount: 0,
        valueOffsets: offsets.values,
        data: bytes.values,
      }),
    clear() {
      bytes.clear();
      offsets.clear();
    },
  };
}

/**
 * Truth values, a bit each.
 *
 * @returns An empty column.
 */
export function boolBuilder(): ColumnBuilder<boolean> {
  const bits = new GrowingArray(uint8Array);
  let rows = 0;
  return {
    byteLength: () => bits.length,
    append(value) {
      if (rows % 8 === 0) bits.push(0);
      if (value) bits.values[rows >> 3]! |= 1 << (rows & 7);
      rows++;
    },
    finish: (length) =>
      makeData({ type: new Bool(), length, nullCount: 0, data: bits.values }),
    clear() {
      bits.clear();
      rows = 0;
    },
  };
}

/**
 * Numbers.
 *
 * @param type Their Arrow type.
 * @returns An empty column.
 */
export function scalarBuilder(type: Int32 | Float32): ColumnBuilder<number> {
  const values = entriesOf(type);
  return {
    byteLength: () => values.values.byteLength,
    append: (value) => values.push(value),
    finish: (length) => entriesData(type, values, length),
    clear: () => values.clear(),
  };
}

type Entries = GrowingArray<
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
>;

/**
 * Lists of numbers.
 *
 * @param type The numbers' Arrow type.
 * @returns An empty column.
 */
export function listBuilder<A extends Int32Array | Float32Array>(
  type: Int32 | Float32,
): ColumnBuilder<A> {
  const entries = entriesOf(type);
  const offsets = new Offsets();
  return {
    byteLength: () => entries.values.byteLength + offsets.byteLength,
    append(value) {
      entries.append(value);
      offsets.push(entries.length);
    },
    finish: (length) =>
      makeData({
        type: listOf(type as Int32),
        length,
        nullCount: 0,
        valueOffsets: offsets.values,
        child: entriesData(type, entries),
      }),
    clear() {
      entries.clear();
      offsets.clear();
    },
  };
}

/**
 * Lists of lists of one width.
 *
 * @param type The numbers' Arrow type.
 * @param width Numbers of an inner list.
 * @returns An empty column.
 */
export function tableBuilder<A extends Int32Array | Float32Array>(
  type: Int32 | Float16,
  width: number,
): ColumnBuilder<NumberTable<A>> {
  const entries = entriesOf(type);
  const offsets = new Offsets();
  return {
    byteLength: () => entries.values.byteLength + offsets.byteLength,
    append(value) {
      entries.append(value.values);
      offsets.push(entries.length / width);
    },
    finish: (length) =>
      makeData({
        type: listOf(fixedListOf(type as Int32, width)),
        length,
        nullCount: 0,
        valueOffsets: offsets.values,
        child: makeData({
          type: fixedListOf(type as Int32, width),
          length: entries.length / width,
          nullCount: 0,
          child: entriesData(type, entries),
        }),
      }),
    clear() {
      entries.clear();
      offsets.clear();
    },
  };
}

function entriesData(
  type: Int32 | Float32 | Float16,
  { values }: Entries,
  length = values.length,
): Data<Int32> {
  const { buffer, byteOffset } = values;
  const data = type instanceof Float16
    ? new Uint16Array(buffer, byteOffset, length)
    : values;
  return makeData({
    type: type as Int32,
    length,
    nullCount: 0,
    data: data as Int32Array,
  });
}

/** Where each row's list ends, with the 0 Arrow wants in front. */
class Offsets {
  readonly #ends = new GrowingArray(int32Array);

  constructor() {
    this.clear();
  }

  get byteLength(): number {
    return this.#ends.length * 4;
  }

  get values(): Int32Array<ArrayBuffer> {
    return this.#ends.values;
  }

  push(end: number): void {
    this.#ends.push(end);
  }

  clear(): void {
    this.#ends.clear();
    this.#ends.push(0);
  }
}

/**
 * The type of a list. `datasets` expects children that are nullable and called
 * "item".
 *
 * @param type The type of its entries.
 * @returns The type.
 */
export function listOf<T extends DataType>(type: T): List<T> {
  return new List(new Field("item", type, true));
}

/**
 * The type of a list of fixed width.
 *
 * @param type The type of its entries.
 * @param width How many there are.
 * @returns The type.
 */
export function fixedListOf<T extends DataType>(
  type: T,
  width: number,
): FixedSizeList<T> {
  return new FixedSizeList(width, new Field("item", type, true));
}

function int32Array(length: number): Int32Array<ArrayBuffer> {
  return new Int32Array(length);
}

function float32Array(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(length);
}

function float16Array(length: number): Float16Array<ArrayBuffer> {
  return new Float16Array(length);
}

function entriesOf(type: Int32 | Float32 | Float16): Entries {
  if (type instanceof Int32) return new GrowingArray(int32Array);
  return type instanceof Float16
    ? new GrowingArray(float16Array)
    : new GrowingArray(float32Array);
}

function uint8Array(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length);
}
