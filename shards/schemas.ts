import type { NumberTable } from "#/shards/column_views.ts";
import type { ColumnKind, ColumnValues } from "#/shards/columns.ts";
import type {
  AlignedRow,
  PackedRow,
  PackedTeacher,
  RepresentationRow,
  TextRow,
  VocabMappingRow,
} from "#/shards/rows.ts";

/** The columns of a file, in order. */
export type Columns = Readonly<Record<string, ColumnKind>>;

/** One row by column name. */
export type Values = Record<string, ColumnValues[ColumnKind]>;

/** How rows of one kind lie in Arrow columns. */
export interface DatasetSchema<Row> {
  /** What the rows are called in errors. */
  readonly name: string;
  /**
   * The columns.
   *
   * @param names Columns a file has, from which a schema may infer its own.
   * @returns Name and kind of every column.
   */
  columns(names: readonly string[]): Columns;
  /**
   * A row, taken apart.
   *
   * @param row The row.
   * @returns One value per column.
   */
  values(row: Row): Values;
  /**
   * A row, put together.
   *
   * @param values One value per column.
   * @returns The row, whose arrays are those of `values`.
   */
  row(values: Values): Row;
}

/** The kind of column that holds a field of a row. */
type KindOf<Value> = Value extends string ? "utf8"
  : Value extends boolean ? "bool"
  : Value extends number ? "int32" | "float32"
  : Value extends Int32Array ? "int32List" | "int32Table"
  : "float32List" | "float16Table";

type Fields<Row> = {
  readonly [Field in Exclude<keyof Row, "topK">]: KindOf<Row[Field]>;
};

/** A schema whose columns are the fields of the row, in snake case. */
function flat<Row extends object>(
  name: string,
  fields: Fields<Row>,
): DatasetSchema<Row> {
  const entries = Object.entries<ColumnKind>(fields).map(([field, kind]) => ({
    field,
    kind,
    column: field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  }));
  const columns = Object.fromEntries(
    entries.map(({ column, kind }) => [column, kind]),
  );
  return {
    name,
    columns: () => columns,
    values(row) {
      const from = row as Record<string, unknown>;
      return Object.fromEntries(entries.map(({ field, kind, column }) => [
        column,
        isTable(kind) ? { width: from.topK, values: from[field] } : from[field],
      ])) as Values;
    },
    row(values) {
      const row: Record<string, unknown> = {};
      for (const { field, kind, column } of entries) {
        if (isTable(kind)) {
          const table = values[column] as NumberTable<Int32Array>;
          row.topK = table.width;
          row[field] = table.values;
        } else row[field] = values[column];
      }
      return row as Row;
    },
  };
}

function isTable(kind: ColumnKind): boolean {
  return kind === "int32Table" || kind === "float16Table";
}

const packedColumns = {
  input_ids: "int32List",
  labels: "int32List",
  document: "int32List",
  position: "int32List",
} as const;

/** Columns of a teacher that not every dataset has. */
const OPTIONAL = {
  label_logprobs: "labelLogprobs",
  nats_per_token: "natsPerToken",
} as const;
const optionalColumns = Object.entries(OPTIONAL);

const teacher: DatasetSchema<
  Omit<PackedTeacher, "labelLogprobs" | "natsPerToken">
> = flat(
  "teacher",
  {
    topkIds: "int32Table",
    topkLogprobs: "float16Table",
    weight: "float32List",
    bitsPerByte: "float32List",
  },
);

/**
 * The schema of packed rows. `label_logprobs` and `nats_per_token` of a teacher
 * are written where the first row has them and read where a file has them.
 *
 * @param teachers Names of the teachers to read or write; without it, those
 * whose columns a file has.
 * @returns The schema.
 */
function packed(teachers?: readonly string[]): DatasetSchema<PackedRow> {
  const teacherColumns = Object.entries(teacher.columns([]));
  return {
    name: "packed",
    columns(names) {
      const columns: Record<string, ColumnKind> = { ...packedColumns };
      for (const name of teachers ?? teachersAmong(names)) {
        for (const [column, kind] of teacherColumns) {
          columns[`${name}_${column}`] = kind;
        }
        for (const [column] of optionalColumns) {
          const full = `${name}_${column}`;
          if (names.includes(full)) columns[full] = "float32List";
        }
      }
      return columns;
    },
    values(row) {
      const values: Values = {
        input_ids: row.inputIds,
        labels: row.labels,
        document: row.document,
        position: row.position,
      };
      for (const name of teachers ?? Object.keys(row.teachers)) {
        const parts = teacher.values(row.teachers[name]!);
        for (const [column] of teacherColumns) {
          values[`${name}_${column}`] = parts[column]!;
        }
        for (const [column, field] of optionalColumns) {
          const given = row.teachers[name]![field];
          if (given) values[`${name}_${column}`] = given;
        }
      }
      return values;
    },
    row(values) {
      const row = {
        inputIds: values.input_ids,
        labels: values.labels,
        document: values.document,
        position: values.position,
        teachers: {} as Record<string, PackedTeacher>,
      };
      for (const name of teachers ?? teachersAmong(Object.keys(values))) {
        row.teachers[name] = {
          ...teacher.row(Object.fromEntries(
            teacherColumns.map((
              [column],
            ) => [column, values[`${name}_${column}`]!]),
          )),
          ...Object.fromEntries(
            optionalColumns.flatMap(([column, field]) => {
              const given = values[`${name}_${column}`];
              return given ? [[field, given]] : [];
            }),
          ),
        };
      }
      return row as PackedRow;
    },
  };
}

function teachersAmong(names: readonly string[]): string[] {
  return names.flatMap((name) => name.match(/^(.+)_topk_ids$/)?.[1] ?? []);
}

const text: DatasetSchema<TextRow> = flat("text", {
  id: "utf8",
  document: "utf8",
  block: "int32",
  last: "bool",
  text: "utf8",
});

const representations: DatasetSchema<RepresentationRow> = flat(
  "representations",
  {
    id: "utf8",
    textHash: "utf8",
    inputIds: "int32List",
    byteEnds: "int32List",
    topkIds: "int32Table",
    topkLogprobs: "float16Table",
    labelLogprobs: "float32List",
    bitsPerByte: "float32",
  },
);

const vocabMappings: DatasetSchema<VocabMappingRow> = flat("vocab mapping", {
  sourceId: "int32",
  targetId: "int32",
  distance: "float32",
  weight: "float32",
});

const aligned: DatasetSchema<AlignedRow> = flat("aligned", {
  id: "utf8",
  topkIds: "int32Table",
  topkLogprobs: "float16Table",
  weight: "float32List",
  marginalError: "float32List",
  labelLogprobs: "float32List",
  bitsPerByte: "float32",
});

/** The schemas of every dataset a run leaves; `packed` depends on its teachers. */
export const datasets = {
  text,
  representations,
  vocabMappings,
  aligned,
  packed,
} as const;
