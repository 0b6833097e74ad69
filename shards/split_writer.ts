import { join } from "node:path";
import type { Compression } from "#/shards/compression.ts";
import {
  attempt,
  describeSplit,
  parseShardName,
  shardName,
} from "#/shards/layout.ts";
import { shardRows } from "#/shards/read_rows.ts";
import { EncodedRows, RowEncoder } from "#/shards/row_encoder.ts";
import type { DatasetSchema } from "#/shards/schemas.ts";
import { ShardFile } from "#/shards/shard_file.ts";

/** Where shards are cut, and how they lie in their files. */
export interface Cuts {
  /** Rows of a shard at most. */
  rowsPerShard: number;
  /** Bytes after which a shard ends. */
  bytesPerShard: number;
  /** How buffers lie in a file. */
  compression: Compression;
}

interface OpenShard<Row> {
  shard: ShardFile;
  /** The message that it begins with. */
  schema: Uint8Array;
  /** Holds the rows that wait; without, there has been no row by itself. */
  encoder: RowEncoder<Row> | undefined;
  rows: number;
}

const ROWS_PER_BATCH = 1000;
const BYTES_PER_BATCH = 2 ** 20;

/**
 * Writes the shards of one split, from the first that is not complete.
 *
 * Where a shard or a batch ends depends only on the rows in it, so that an
 * interrupted run that goes on leaves the same bytes as one that was not.
 */
export class SplitWriter<Row> {
  /** Rows in the split. */
  rows = 0;
  /** Tokens in the split. */
  tokens = 0;
  /** Whether all rows are there, so that only names are missing. */
  ended = false;
  readonly #directory: string;
  readonly #schema: DatasetSchema<Row>;
  readonly #tokensOf: (row: Row) => number;
  readonly #cuts: Cuts;
  /** Names of the complete shards. */
  readonly #files: string[] = [];
  #open: OpenShard<Row> | undefined;

  /**
   * Keep the complete shards of a folder and remove what follows them.
   *
   * @param directory The split's folder.
   * @param schema What the rows are.
   * @param tokensOf Tokens of a row.
   * @param cuts Where shards are cut, and how they lie in their files.
   */
  constructor(
    directory: string,
    schema: DatasetSchema<Row>,
    tokensOf: (row: Row) => number,
    cuts: Cuts,
  ) {
    this.#directory = directory;
    this.#schema = schema;
    this.#tokensOf = tokensOf;
    this.#cuts = cuts;
    attempt(directory, () => Deno.mkdirSync(directory, { recursive: true }));
    this.#keep();
  }

  /**
   * Add a row, or several that are encoded.
   *
   * @param row The row, or rows.
   * @throws {RangeError} If it does not fit the columns, naming the row.
   * @throws {Error} If the shard cannot be written, naming the file.
   */
  append(row: Row | EncodedRows): void {
    if (row instanceof EncodedRows) this.#appendEncoded(row);
    else this.#appendRow(row);
  }

  #appendRow(row: Row): void {
    this.#open ??= this.#start(this.#encoderFor(row));
    const open = this.#open;
    try {
      open.encoder ??= this.#encoderFor(row);
      open.encoder.append(row);
    } catch (error) {
      throw new RangeError(
        `Cannot write row ${this.rows} of ${this.#directory}: ` +
          (error as Error).message,
      );
    }
    this.#add(open, 1, this.#tokensOf(row));
  }

  #appendEncoded({ rows, tokens, schema, batch }: EncodedRows): void {
    const open = this.#open ??= this.#start({ schema });
    if (!isEqual(schema, open.schema)) {
      throw new RangeError(
        `Cannot write row ${this.rows} of ${this.#directory}: it has other ` +
          `columns or widths than the shard's first row`,
      );
    }
    this.#guard(() => {
      flush(open);
      open.shard.write(batch);
    });
    this.#add(open, rows, tokens);
  }

  #add(open: OpenShard<Row>, rows: number, tokens: number): void {
    open.rows += rows;
    this.rows += rows;
    this.tokens += tokens;
    this.#cut(open);
  }

  /**
   * End the split: every shard gets its last name, and the split its state.
   *
   * @param split The split's name.
   * @param seed Whatever identifies the content.
   */
  finish(split: string, seed: string): void {
    if (this.#files.length === 0) {
      this.#open ??= this.#start(this.#encoderFor());
    }
    this.#end();
    const count = this.#files.length;
    const names = this.#files.map((file, index) => {
      const name = shardName(index, count);
      const path = join(this.#directory, name);
      attempt(path, () => Deno.renameSync(join(this.#directory, file), path));
      return name;
    });
    describeSplit(this.#directory, split, names, seed);
  }

  /** Give up the shard that is not complete. */
  abandon(): void {
    this.#open?.shard.abandon();
    this.#open = undefined;
  }

  #encoderFor(first?: Row): RowEncoder<Row> {
    return new RowEncoder(this.#schema, first, this.#cuts.compression);
  }

  #start(from: RowEncoder<Row> | { schema: Uint8Array }): OpenShard<Row> {
    const path = join(this.#directory, shardName(this.#files.length));
    const { schema } = from;
    const encoder = from instanceof RowEncoder ? from : undefined;
    return { shard: new ShardFile(path, schema), schema, encoder, rows: 0 };
  }

  #cut(open: OpenShard<Row>): void {
    const { shard, encoder, rows } = open;
    const waiting = encoder?.byteLength ?? 0;
    const isFull = rows >= this.#cuts.rowsPerShard ||
      shard.byteLength + waiting >= this.#cuts.bytesPerShard;
    if (isFull) this.#end();
    else if (
      waiting >= BYTES_PER_BATCH || (encoder?.rows ?? 0) >= ROWS_PER_BATCH
    ) this.#guard(() => flush(open));
  }

  #end(): void {
    const open = this.#open;
    if (!open) return;
    this.#guard(() => {
      flush(open);
      open.shard.finish();
    });
    this.#open = undefined;
    this.#files.push(shardName(this.#files.length));
  }

  /** A shard that failed has removed itself. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#open = undefined;
      throw error;
    }
  }

  #keep(): void {
    const shards = new Map<number, string>();
    let count: number | undefined;
    for (const { name } of Deno.readDirSync(this.#directory)) {
      const parsed = parseShardName(name);
      if (parsed) {
        shards.set(parsed.index, name);
        count ??= parsed.count;
      } else if (/^data-\d+\.arrow\.tmp$/.test(name)) {
        Deno.removeSync(join(this.#directory, name));
      }
    }
    for (let name; (name = shards.get(this.#files.length));) {
      if (!this.#count(join(this.#directory, name))) break;
      shards.delete(this.#files.length);
      this.#files.push(name);
    }
    for (const name of shards.values()) {
      Deno.removeSync(join(this.#directory, name));
    }
    this.ended = count === this.#files.length;
  }

  /** Counts the rows of a kept shard; false where its disk has lost a part of it. */
  #count(path: string): boolean {
    let rows = 0;
    let tokens = 0;
    try {
      for (const row of shardRows(path, this.#schema)) {
        rows++;
        tokens += this.#tokensOf(row);
      }
    } catch (error) {
      if (error instanceof SyntaxError) return false;
      throw error;
    }
    this.rows += rows;
    this.tokens += tokens;
    return true;
  }
}

/** Writes the rows that wait. */
function flush<Row>({ shard, encoder }: OpenShard<Row>): void {
  if (encoder && encoder.rows > 0) shard.write(encoder.take(0).batch);
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length &&
    one.every((byte, k) => byte === other[k]);
}
