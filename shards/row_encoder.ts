import { BatchEncoder } from "#/shards/batch_encoder.ts";
import { BatchBuilder } from "#/shards/batches.ts";
import type { Compression } from "#/shards/compression.ts";
import type { DatasetSchema } from "#/shards/schemas.ts";

/** Rows as they lie in a shard, which `writeDataset()` takes as they are. */
export class EncodedRows {
  /** How many rows. */
  readonly rows: number;
  /** Their tokens, for the manifest. */
  readonly tokens: number;
  /** The message that a shard of them begins with. */
  readonly schema: Uint8Array<ArrayBuffer>;
  /** The message that holds them. */
  readonly batch: Uint8Array<ArrayBuffer>;

  /**
   * Put together what has gone from one thread to another.
   *
   * @param encoded What {@linkcode RowEncoder.take} has returned.
   */
  constructor({ rows, tokens, schema, batch }: EncodedRows) {
    this.rows = rows;
    this.tokens = tokens;
    this.schema = schema;
    this.batch = batch;
  }
}

/** Encodes rows of one schema, in whichever thread they are made. */
export class RowEncoder<Row> {
  readonly #schema: DatasetSchema<Row>;
  readonly #builder: BatchBuilder;
  readonly #encoder: BatchEncoder;

  /**
   * Prepare.
   *
   * @param schema What the rows are.
   * @param first The first row, which fixes the width of every table; 1 without.
   * @param compression How buffers lie in the messages. Defaults to `zstd`.
   */
  constructor(
    schema: DatasetSchema<Row>,
    first?: Row,
    compression: Compression = "zstd",
  ) {
    const values = first && schema.values(first);
    const columns = schema.columns(Object.keys(values ?? {}));
    this.#schema = schema;
    this.#builder = new BatchBuilder(columns, values);
    this.#encoder = new BatchEncoder(this.#builder.schema, compression);
  }

  /** The message that a shard of such rows begins with. */
  get schema(): Uint8Array<ArrayBuffer> {
    return this.#encoder.schema;
  }

  /** Rows that wait. */
  get rows(): number {
    return this.#builder.rows;
  }

  /** Their bytes before compression. */
  get byteLength(): number {
    return this.#builder.byteLength;
  }

  /**
   * Add a row.
   *
   * @param row The row, whose arrays are copied.
   * @throws {RangeError} If its lists do not have one length, or a table is not
   * as wide as the first row's.
   */
  append(row: Row): void {
    this.#builder.append(this.#schema.values(row));
  }

  /**
   * Encode the rows that wait, and forget them.
   *
   * @param tokens Their tokens.
   * @returns The rows.
   */
  take(tokens: number): EncodedRows {
    const { rows, schema } = this;
    const batch = this.#encoder.encode(this.#builder.finish());
    this.#builder.clear();
    return new EncodedRows({ rows, tokens, schema, batch });
  }
}
