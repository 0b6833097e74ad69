import {
  AsyncByteQueue,
  RecordBatchStreamWriter,
  type Schema,
} from "apache-arrow";
import type { BatchBuilder } from "#/shards/batches.ts";
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
  readonly #writer = new RecordBatchStreamWriter();

  /**
   * Start a shard.
   *
   * @param path The name it gets when it is complete.
   * @param schema The schema of its batches.
   * @throws {Error} If it cannot be written, naming the file.
   */
  constructor(path: string, schema: Schema) {
    this.#path = path;
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
    this.#attempt(() => this.#writer.write(builder.finish()));
    builder.clear();
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

  /** Give up the shard. */
  abandon(): void {
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
