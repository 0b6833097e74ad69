import {
  Bool,
  type Data,
  DataType,
  Float16,
  Float32,
  Int32,
  Utf8,
} from "apache-arrow";
import {
  boolBuilder,
  type ColumnBuilder,
  fixedListOf,
  listBuilder,
  listOf,
  scalarBuilder,
  tableBuilder,
  utf8Builder,
} from "#/shards/column_builders.ts";
import {
  boolView,
  halfTableView,
  listView,
  type NumberTable,
  scalarView,
  tableView,
  utf8View,
} from "#/shards/column_views.ts";

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
    view: boolView,
  },
  int32: {
    type: () => int32,
    label: "Int32",
    accepts: isInt32,
    builder: () => scalarBuilder(int32),
    view: scalarView,
  },
  float32: {
    type: () => float32,
    label: "Float32",
    accepts: isFloat32,
    builder: () => scalarBuilder(float32),
    view: scalarView,
  },
  int32List: {
    type: () => listOf(int32),
    label: "List<Int32>",
    accepts: (type) => DataType.isList(type) && isInt32(type.valueType),
    positions: (values) => values.length,
    builder: () => listBuilder(int32),
    view: listView<Int32Array>,
  },
  float32List: {
    type: () => listOf(float32),
    label: "List<Float32>",
    accepts: (type) => DataType.isList(type) && isFloat32(type.valueType),
    positions: (values) => values.length,
    builder: () => listBuilder(float32),
    view: listView<Float32Array>,
  },
  int32Table: {
    type: (width) => listOf(fixedListOf(int32, width)),
    label: "List<FixedSizeList[K]<Int32>>",
    accepts: (type) => isTable(type, isInt32),
    positions: ({ values, width }) => values.length / width,
    builder: (width) => tableBuilder(int32, width),
    view: tableView,
  },
  float16Table: {
    type: (width) => listOf(fixedListOf(float16, width)),
    label: "List<FixedSizeList[K]<Float16>>",
    accepts: (type) => isTable(type, isFloat16),
    positions: ({ values, width }) => values.length / width,
    builder: (width) => tableBuilder(float16, width),
    view: halfTableView,
  },
};

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
