import {
  AsyncByteQueue,
  type RecordBatch,
  type RecordBatchStreamWriter,
  type Schema,
} from "apache-arrow";
import type { BatchBuilder } from "#/shards/batches.ts";
import { type Compression, streamWriter } from "#/shards/compression.ts";
import { attempt, removeIfThere } from "#/shards/layout.ts";

// A full `ulimit -f` sends SIGXFSZ, which kills the process unless someone
// listens; with a listener the write fails, and the error can name the file.
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGXFSZ", () => {});

/**
 * One shard while it is written, under a temporary name: a shard under its own
 * name is complete.
 */
export class ShardFile {
  /** Bytes written. */
  byteLength = 0;
  readonly #path: string;
  readonly #temporary: string;
  readonly #file: Deno.FsFile;
  readonly #writer: RecordBatchStreamWriter;
  #isAbandoned = false;

  /**
   * Start a shard.
   *
   * @param path The name it gets when it is complete.
   * @param schema The schema of its batches.
   * @param compression How buffers lie in the file.
   * @throws {Error} If it cannot be written, naming the file.
   */
  constructor(path: string, schema: Schema, compression: Compression) {
    this.#path = path;
    this.#writer = streamWriter(compression);
    this.#temporary = `${path}.tmp`;
    this.#file = attempt(path, () =>
      Deno.openSync(this.#temporary, {
        write: true,
        create: true,
        truncate: true,
      }));
    this.#attempt(() => {
      this.#writer.reset(new Sink((bytes) => this.#write(bytes)), schema);
    });
  }

  /**
   * Write the rows that wait, and forget them.
   *
   * @param builder The rows.
   * @throws {Error} If the file cannot be written; nothing is left of it then.
   */
  write(builder: BatchBuilder): void {
    if (builder.rows === 0) return;
    this.writeBatch(builder.finish());
    builder.clear();
  }

  /**
   * Write rows that are a batch already.
   *
   * @param batch The rows.
   * @throws {Error} If the file cannot be written; nothing is left of it then.
   */
  writeBatch(batch: RecordBatch): void {
    this.#attempt(() => this.#writer.write(batch));
  }

  /**
   * End the shard: from now on it is complete, also after a power failure.
   *
   * @throws {Error} If the file cannot be written; nothing is left of it then.
   */
  finish(): void {
    this.#attempt(() => {
      this.#writer.finish();
      this.#file.syncSync();
    });
    this.#file.close();
    attempt(this.#path, () => Deno.renameSync(this.#temporary, this.#path));
  }

  /** Give up the shard, if it has not done so itself. */
  abandon(): void {
    if (this.#isAbandoned) return;
    this.#isAbandoned = true;
    this.#file.close();
    removeIfThere(this.#temporary);
  }

  #write(bytes: Uint8Array): void {
    for (let written = 0; written < bytes.length;) {
      written += this.#file.writeSync(bytes.subarray(written));
    }
    this.byteLength += bytes.length;
  }

  #attempt(action: () => void): void {
    try {
      attempt(this.#path, action);
    } catch (error) {
      this.abandon();
      throw error;
    }
  }
}

/** Takes what apache-arrow writes at once: its own queue knows no back-pressure. */
class Sink extends AsyncByteQueue {
  readonly #take: (bytes: Uint8Array) => void;

  constructor(take: (bytes: Uint8Array) => void) {
    super();
    this.#take = take;
  }

  override write(value: ArrayBufferView | ArrayBufferLike): void {
    this.#take(
      ArrayBuffer.isView(value)
        ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
        : new Uint8Array(value),
    );
  }

  override close(): void {}
}
