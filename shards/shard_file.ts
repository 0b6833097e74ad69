import { END_OF_STREAM } from "#/shards/batch_encoder.ts";
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
  #isAbandoned = false;

  /**
   * Start a shard.
   *
   * @param path The name it gets when it is complete.
   * @param schema The message that it begins with.
   * @throws {Error} If it cannot be written, naming the file.
   */
  constructor(path: string, schema: Uint8Array) {
    this.#path = path;
    this.#temporary = `${path}.tmp`;
    this.#file = attempt(path, () =>
      Deno.openSync(this.#temporary, {
        write: true,
        create: true,
        truncate: true,
      }));
    this.write(schema);
  }

  /**
   * Write messages.
   *
   * @param messages What a `BatchEncoder` has made of batches.
   * @throws {Error} If the file cannot be written; nothing is left of it then.
   */
  write(messages: Uint8Array): void {
    this.#attempt(() => {
      for (let written = 0; written < messages.length;) {
        written += this.#file.writeSync(messages.subarray(written));
      }
    });
    this.byteLength += messages.length;
  }

  /**
   * End the shard: from now on it is complete, also after a power failure.
   *
   * @throws {Error} If the file cannot be written; nothing is left of it then.
   */
  finish(): void {
    this.write(END_OF_STREAM);
    this.#attempt(() => this.#file.syncSync());
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

  #attempt(action: () => void): void {
    try {
      attempt(this.#path, action);
    } catch (error) {
      this.abandon();
      throw error;
    }
  }
}
