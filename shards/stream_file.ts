import {
  Message,
  MessageHeader,
  type RecordBatch,
  RecordBatchReader,
  Schema,
} from "apache-arrow";
import { buffersOf } from "#/shards/batches.ts";
// Without it apache-arrow cannot decompress.
import "#/shards/compression.ts";

/** Where one record batch lies in a file. */
export interface BatchLocation {
  /** Of the message's first byte. */
  offset: number;
  /** Of the message, metadata and body. */
  byteLength: number;
  /** Rows of the batch. */
  rows: number;
  /** Entries of all its columns, of lists and of what lies in lists. */
  values: number;
}

const CONTINUATION = 0xffffffff;

/**
 * An Arrow IPC stream in a file, read batch by batch: at most one is in memory.
 *
 * apache-arrow's own reader takes a file that ends in the middle for one that
 * is complete; this one wants the end-of-stream marker.
 */
export class StreamFile implements Disposable {
  /** The file. */
  readonly path: string;
  /** Its Arrow schema. */
  readonly schema: Schema;
  readonly #file: Deno.FsFile;
  readonly #size: number;
  /** The schema message and the dictionaries met so far, as every batch needs them. */
  #prefix: Uint8Array;
  readonly #first: number;

  /**
   * Open a file and read its schema.
   *
   * @param path The file.
   * @throws {SyntaxError} If it is not an Arrow IPC stream.
   */
  constructor(path: string) {
    this.path = path;
    this.#file = Deno.openSync(path);
    try {
      this.#size = this.#file.statSync().size;
      const frame = this.#frame(0);
      if (frame?.type !== MessageHeader.Schema) {
        throw new SyntaxError(
          `Cannot read ${path}: its first message is not a schema`,
        );
      }
      this.#first = frame.byteLength;
      this.#prefix = this.#read(0, new Uint8Array(frame.byteLength));
      this.schema = this.#decode(this.#prefix).schema;
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /**
   * Find every batch, reading the metadata only.
   *
   * @returns The places of the batches, in order.
   * @throws {SyntaxError} If the file is truncated or not an Arrow IPC stream.
   */
  *locations(): Generator<BatchLocation> {
    let offset = this.#first;
    for (let frame = this.#frame(offset); frame; frame = this.#frame(offset)) {
      const { type, byteLength, rows, values } = frame;
      if (type === MessageHeader.RecordBatch) {
        yield { offset, byteLength, rows, values };
      } else if (type === MessageHeader.DictionaryBatch) {
        this.#prefix = this.#withPrefix(offset, byteLength);
      } else {
        throw new SyntaxError(
          `Cannot read ${this.path}: the message at byte ${offset} is a ` +
            `${MessageHeader[type]}, expected a record batch`,
        );
      }
      offset += byteLength;
    }
  }

  /**
   * Read one batch; its buffers belong to it alone.
   *
   * @param location Where it lies.
   * @returns The batch.
   * @throws {SyntaxError} If it cannot be decoded.
   */
  batch({ offset, byteLength }: BatchLocation): RecordBatch {
    const bytes = this.#withPrefix(offset, byteLength);
    const reader = this.#decode(bytes);
    const result = this.#attempt(offset, () => reader.next());
    const batch = result.value as RecordBatch;
    // What has been decompressed leaves nothing behind that waits to be swept.
    if (!buffersOf(batch).has(bytes.buffer)) bytes.buffer.transfer(0);
    return batch;
  }

  /** Close the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }

  #withPrefix(offset: number, byteLength: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#prefix.length + byteLength);
    bytes.set(this.#prefix);
    this.#read(offset, bytes.subarray(this.#prefix.length));
    return bytes;
  }

  #decode(bytes: Uint8Array) {
    return this.#attempt(0, () => RecordBatchReader.from(bytes).open());
  }

  #frame(offset: number) {
    const head = new DataView(this.#read(offset, new Uint8Array(8)).buffer);
    if (head.getUint32(0, true) !== CONTINUATION) {
      throw new SyntaxError(
        `Cannot read ${this.path}: byte ${offset} starts no Arrow IPC message`,
      );
    }
    const metadataLength = head.getInt32(4, true);
    if (metadataLength === 0) return undefined;
    this.#checkEnd(offset, 8 + metadataLength);
    const metadata = this.#read(offset + 8, new Uint8Array(metadataLength));
    const { type, bodyLength, rows, values } = this.#attempt(
      offset,
      () => described(Message.decode(metadata)),
    );
    const byteLength = 8 + metadataLength + bodyLength;
    this.#checkEnd(offset, byteLength);
    return { type, byteLength, rows, values };
  }

  #read<Bytes extends Uint8Array>(offset: number, bytes: Bytes): Bytes {
    this.#checkEnd(offset, bytes.length);
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let read = 0; read < bytes.length;) {
      const count = this.#file.readSync(bytes.subarray(read));
      if (count === null) this.#checkEnd(offset, Infinity);
      read += count!;
    }
    return bytes;
  }

  #checkEnd(offset: number, byteLength: number): void {
    if (byteLength >= 0 && offset + byteLength <= this.#size) return;
    throw new SyntaxError(
      `Cannot read ${this.path}: it is truncated, the message at byte ` +
        `${offset} does not end within its ${this.#size} bytes`,
    );
  }

  /** apache-arrow reports damaged metadata by whatever breaks first. */
  #attempt<T>(offset: number, decode: () => T): T {
    try {
      return decode();
    } catch (cause) {
      throw new SyntaxError(
        `Cannot read ${this.path}: the Arrow IPC message at byte ${offset} is damaged`,
        { cause },
      );
    }
  }
}

function described(message: Message) {
  const { headerType, bodyLength } = message;
  const { length, nodes } = message.isRecordBatch()
    ? message.header()
    : { length: 0, nodes: [] };
  return {
    type: headerType as MessageHeader,
    bodyLength,
    rows: length,
    values: nodes.reduce((sum, { length }) => sum + length, 0),
  };
}
