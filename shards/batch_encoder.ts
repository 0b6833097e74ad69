import { AsyncByteQueue, type RecordBatch, type Schema } from "apache-arrow";
import { type Compression, streamWriter } from "#/shards/compression.ts";

/** What stands at the end of an Arrow IPC stream. */
export const END_OF_STREAM: Uint8Array = new Uint8Array(
  Int32Array.of(-1, 0).buffer,
);

/** Turns batches of one schema into the messages of an Arrow IPC stream. */
export class BatchEncoder {
  /** The message that a stream of them begins with. */
  readonly schema: Uint8Array<ArrayBuffer>;
  readonly #chunks: Uint8Array[] = [];
  readonly #encode: (batch: RecordBatch) => void;

  /**
   * Prepare.
   *
   * @param schema The schema of the batches.
   * @param compression How their buffers lie in the messages.
   */
  constructor(schema: Schema, compression: Compression) {
    const writer = streamWriter(compression);
    writer.reset(new Sink((bytes) => this.#chunks.push(bytes)), schema);
    this.#encode = (batch) => writer.write(batch);
    this.schema = this.#take();
  }

  /**
   * Encode a batch.
   *
   * @param batch The batch.
   * @returns Its message, behind those of dictionaries that it needs.
   */
  encode(batch: RecordBatch): Uint8Array<ArrayBuffer> {
    this.#encode(batch);
    return this.#take();
  }

  #take(): Uint8Array<ArrayBuffer> {
    const length = this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const bytes = new Uint8Array(length);
    let end = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, end);
      end += chunk.length;
    }
    this.#chunks.length = 0;
    return bytes;
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
