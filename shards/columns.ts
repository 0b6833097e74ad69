import {
  Bool,
  type Data,
  DataType,
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

/** A list of lists of one width: `values` is `[values.length / width, width]`. */
export interface NumberTable<A extends Int32Array | Float32Array> {
  /** Entries of every inner list. */
  width: number;
  /** The entries, row-major. */
  values: A;
}

/** What a value of each kind of column is. */
export interface ColumnValues {
  /** Text. */
  utf8: string;
  /** A truth value. */
  bool: boolean;
  /** An integer. */
  int32: number;
  /** A number. */
  float32: number;
  /** A list of integers. */
  int32List: Int32Array;
  /** A list of numbers. */
  float32List: Float32Array;
  /** Integers, `[T, K]`. */
  int32Table: NumberTable<Int32Array>;
  /** Numbers, `[T, K]`, stored as f16. */
  float16Table: NumberTable<Float32Array>;
}

/** The name of a kind of column. */
export type ColumnKind = keyof ColumnValues;

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

interface Kind<Value> {
  /** The Arrow type; `width` is K. */
  type(width: number): DataType;
  /** How an error names the type. */
  label: string;
  /** Whether a file's type is this one, whatever its width. */
  accepts(type: DataType): boolean;
  /** How long the lists of a value are, where that must agree within a row. */
  positions?(value: Value): number;
  builder(width: number): ColumnBuilder<Value>;
  /** Reads the value of a row, without copying where f16 is not involved. */
  view(data: Data): (row: number) => Value;
}

const int32 = new Int32();
const float32 = new Float32();
const float16 = new Float16();

/** The kinds of column, one row each. */
export const columnKinds: { [K in ColumnKind]: Kind<ColumnValues[K]> } = {
  utf8: {
    type: () => new Utf8(),
    label: "Utf8",
    accepts: DataType.isUtf8,
    builder: utf8Builder,
    view: utf8View,
  },
  bool: {
    type: () => new Bool(),
    label: "Bool",
    accepts: DataType.isBool,
    builder: boolBuilder,
    view: (data) => {
      const bits = data.values as Uint8Array;
      return (row) => (bits[row >> 3]! >> (row & 7) & 1) === 1;
    },
  },
  int32: {
    type: () => int32,
    label: "Int32",
    accepts: isInt32,
    builder: () => scalarBuilder(int32),
    view: (data) => (row) => (data.values as Int32Array)[row]!,
  },
  float32: {
    type: () => float32,
    label: "Float32",
    accepts: isFloat32,
    builder: () => scalarBuilder(float32),
    view: (data) => (row) => (data.values as Float32Array)[row]!,
  },
  int32List: {
    type: () => listOf(int32),
    label: "List<Int32>",
    accepts: (type) => DataType.isList(type) && isInt32(type.valueType),
    positions: (values) => values.length,
    builder: () => listBuilder(int32, new GrowingArray(int32Array)),
    view: listView<Int32Array>,
  },
  float32List: {
    type: () => listOf(float32),
    label: "List<Float32>",
    accepts: (type) => DataType.isList(type) && isFloat32(type.valueType),
    positions: (values) => values.length,
    builder: () => listBuilder(float32, new GrowingArray(float32Array)),
    view: listView<Float32Array>,
  },
  int32Table: {
    type: (width) => listOf(fixedListOf(int32, width)),
    label: "List<FixedSizeList[K]<Int32>>",
    accepts: (type) => isTable(type, isInt32),
    positions: ({ values, width }) => values.length / width,
    builder: (width) =>
      tableBuilder(int32, new GrowingArray(int32Array), width),
    view: (data) => tableView<Int32Array>(data, (values) => values),
  },
  float16Table: {
    type: (width) => listOf(fixedListOf(float16, width)),
    label: "List<FixedSizeList[K]<Float16>>",
    accepts: (type) => isTable(type, isFloat16),
    positions: ({ values, width }) => values.length / width,
    builder: (width) =>
      tableBuilder(float16, new GrowingArray(float16Array), width),
    view: (data) => tableView<Float32Array>(data, widen),
  },
};

function int32Array(length: number): Int32Array<ArrayBuffer> {
  return new Int32Array(length);
}

function float32Array(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(length);
}

function float16Array(length: number): Float16Array<ArrayBuffer> {
  return new Float16Array(length);
}

function uint8Array(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length);
}

function isInt32(type: DataType): boolean {
  return DataType.isInt(type) && type.bitWidth === 32 && type.isSigned;
}

function isFloat32(type: DataType): boolean {
  return DataType.isFloat(type) && type.ArrayType === Float32Array;
}

function isFloat16(type: DataType): boolean {
  return DataType.isFloat(type) && type.ArrayType === Uint16Array;
}

function isTable(type: DataType, isEntry: (type: DataType) => boolean) {
  return DataType.isList(type) && DataType.isFixedSizeList(type.valueType) &&
    isEntry(type.valueType.children[0]!.type);
}

/** `datasets` expects list children that are nullable and called "item". */
function listOf<T extends DataType>(type: T): List<T> {
  return new List(new Field("item", type, true));
}

function fixedListOf<T extends DataType>(
  type: T,
  width: number,
): FixedSizeList<T> {
  return new FixedSizeList(width, new Field("item", type, true));
}

function utf8Builder(): ColumnBuilder<string> {
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

function boolBuilder(): ColumnBuilder<boolean> {
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

function scalarBuilder(type: Int32 | Float32): ColumnBuilder<number> {
  const values = type instanceof Int32
    ? new GrowingArray(int32Array)
    : new GrowingArray(float32Array);
  return {
    byteLength: () => values.length * 4,
    append: (value) => values.push(value),
    finish: (length) =>
      makeData({
        type: type as Int32,
        length,
        nullCount: 0,
        data: values.values,
      }),
    clear: () => values.clear(),
  };
}

type ListEntries = GrowingArray<
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
>;

function listBuilder<A extends Int32Array | Float32Array>(
  type: Int32 | Float32,
  entries: ListEntries,
): ColumnBuilder<A> {
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

function tableBuilder<A extends Int32Array | Float32Array>(
  type: Int32 | Float16,
  entries: ListEntries,
  width: number,
): ColumnBuilder<NumberTable<A>> {
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
  { length, values }: ListEntries,
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

function utf8View(data: Data): (row: number) => string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const offsets = data.valueOffsets as Int32Array;
  const bytes = data.values as Uint8Array;
  return (row) =>
    decoder.decode(bytes.subarray(offsets[row]!, offsets[row + 1]!));
}

function listView<A extends Int32Array | Float32Array>(
  data: Data,
): (row: number) => A {
  const offsets = data.valueOffsets as Int32Array;
  const values = data.children[0]!.values as A;
  return (row) => values.subarray(offsets[row]!, offsets[row + 1]!) as A;
}

function tableView<A extends Int32Array | Float32Array>(
  data: Data,
  convert: (values: A) => A,
): (row: number) => NumberTable<A> {
  const offsets = data.valueOffsets as Int32Array;
  const lists = data.children[0]!;
  const width = (lists.type as FixedSizeList).listSize;
  const values = lists.children[0]!.values as A;
  return (row) => ({
    width,
    values: convert(
      values.subarray(offsets[row]! * width, offsets[row + 1]! * width) as A,
    ),
  });
}

/** f16 as Arrow holds it, a Uint16Array, to f32. */
function widen(half: Float32Array): Float32Array {
  const { buffer, byteOffset, length } = half;
  return new Float32Array(new Float16Array(buffer, byteOffset, length));
}
