import {
  type Data,
  Field,
  makeData,
  RecordBatch,
  Schema,
  Struct,
} from "apache-arrow";
import type { ColumnBuilder } from "#/shards/column_builders.ts";
import type { NumberTable } from "#/shards/column_views.ts";
import {
  type ColumnKind,
  columnKinds,
  type ColumnValues,
} from "#/shards/columns.ts";
import type { Columns, DatasetSchema, Values } from "#/shards/schemas.ts";

/** Rows that wait to become one record batch. */
export class BatchBuilder {
  /** The Arrow schema of every batch. */
  readonly schema: Schema;
  readonly #columns: {
    name: string;
    kind: ColumnKind;
    width: number;
    builder: ColumnBuilder<ColumnValues[ColumnKind]>;
  }[];
  #rows = 0;

  /**
   * Start empty.
   *
   * @param columns Name and kind of every column.
   * @param first The first row, which fixes the width of every table; 1 without.
   */
  constructor(columns: Columns, first?: Values) {
    this.#columns = Object.entries(columns).map(([name, kind]) => {
      const width = (first?.[name] as Partial<NumberTable<Int32Array>>)
        ?.width ?? 1;
      const builder = columnKinds[kind].builder(width);
      return { name, kind, width, builder: builder as ColumnBuilder<unknown> };
    });
    this.schema = new Schema(
      this.#columns.map(({ name, kind, width }) =>
        new Field(name, columnKinds[kind].type(width), true)
      ),
    );
  }

  /** Rows so far. */
  get rows(): number {
    return this.#rows;
  }

  /** Bytes so far. */
  get byteLength(): number {
    return this.#columns.reduce(
      (sum, { builder }) => sum + builder.byteLength(),
      0,
    );
  }

  /**
   * Add a row.
   *
   * @param values One value per column.
   * @throws {RangeError} If the lists of the row do not have one length, or a
   * table is not as wide as the first row's.
   */
  append(values: Values): void {
    this.#check(values);
    for (const { name, builder } of this.#columns) {
      builder.append(values[name]!);
    }
    this.#rows++;
  }

  /**
   * The rows so far as a batch, valid until the next `append` or `clear`.
   *
   * @returns The batch.
   */
  finish(): RecordBatch {
    return new RecordBatch(
      this.schema,
      makeData({
        type: new Struct(this.schema.fields),
        length: this.#rows,
        nullCount: 0,
        children: this.#columns.map(({ builder }) =>
          builder.finish(this.#rows)
        ),
      }),
    );
  }

  /** Forget all rows. */
  clear(): void {
    for (const { builder } of this.#columns) builder.clear();
    this.#rows = 0;
  }

  #check(values: Values): void {
    let positions: number | undefined;
    let first = "";
    for (const { name, kind, width } of this.#columns) {
      const value = values[name] as never;
      const found = (value as Partial<NumberTable<Int32Array>>)?.width;
      if (found !== undefined && (found !== width || !(found > 0))) {
        throw new RangeError(
          `${name} is ${found} wide, expected ${width} as in the first row`,
        );
      }
      const length = columnKinds[kind].positions?.(value);
      if (length === undefined) continue;
      positions ??= length;
      first ||= name;
      if (length !== positions) {
        throw new RangeError(
          `${name} has ${length} positions, expected ${positions} as ${first}`,
        );
      }
    }
  }
}

/** The rows of one record batch. */
export interface BatchRows<Row> {
  /** How many there are. */
  length: number;
  /** One of them; its arrays are views into the batch. */
  row(index: number): Row;
  /** Give the batch's memory back now: rows are empty then, and so is it. */
  release(): void;
}

/**
 * Check that a file's columns are those of a schema.
 *
 * @param found The file's schema.
 * @param schema What is expected.
 * @param file Named in errors.
 * @returns The columns to read.
 * @throws {TypeError} If a column is missing or of another type.
 */
export function checkColumns<Row>(
  found: Schema,
  schema: DatasetSchema<Row>,
  file: string,
): Columns {
  const columns = schema.columns(found.names as string[]);
  for (const [name, kind] of Object.entries(columns)) {
    const { label, accepts } = columnKinds[kind];
    const field = found.fields.find((field) => field.name === name);
    if (!field) {
      throw new TypeError(
        `Cannot read ${file} as ${schema.name}: it has the columns ` +
          `${found.names.join(", ")}, expected a column ${name} of ${label}`,
      );
    }
    if (!accepts(field.type)) {
      throw new TypeError(
        `Cannot read ${file} as ${schema.name}: column ${name} is ` +
          `${field.type}, expected ${label}`,
      );
    }
  }
  return columns;
}

/**
 * Read a batch as rows.
 *
 * @param batch The batch.
 * @param columns What {@linkcode checkColumns} returned for its file.
 * @param schema What the rows are.
 * @param file Named in errors.
 * @returns The rows, decoded when asked for.
 * @throws {TypeError} If a column holds nulls.
 */
export function batchRows<Row>(
  batch: RecordBatch,
  columns: Columns,
  schema: DatasetSchema<Row>,
  file: string,
): BatchRows<Row> {
  const views = Object.entries(columns).map(([name, kind]) => {
    const data = batch.getChild(name)!.data[0]!;
    if (data.nullCount > 0) {
      throw new TypeError(
        `Cannot read ${file} as ${schema.name}: column ${name} has ` +
          `${data.nullCount} nulls, expected none`,
      );
    }
    return [name, columnKinds[kind].view(data)] as const;
  });
  return {
    length: batch.numRows,
    row(index) {
      const values: Values = {};
      for (const [name, view] of views) values[name] = view(index);
      return schema.row(values);
    },
    release() {
      for (const buffer of buffersOf(batch)) buffer.transfer(0);
    },
  };
}

/**
 * The memory that a batch lies in.
 *
 * @param batch The batch.
 * @returns Its buffers, each once.
 */
export function buffersOf(batch: RecordBatch): Set<ArrayBuffer> {
  const buffers = new Set<ArrayBuffer>();
  const add = ({ buffers: views, children }: Data) => {
    for (
      const view of Object.values(views) as (ArrayBufferView | undefined)[]
    ) {
      if (view?.byteLength) buffers.add(view.buffer as ArrayBuffer);
    }
    children.forEach(add);
  };
  add(batch.data);
  return buffers;
}
