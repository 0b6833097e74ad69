/**
 * Protocol Buffers' wire format, as far as writing needs it. Fields are written
 * in the order of the calls; ONNX readers expect ascending field numbers.
 *
 * @see {@link https://protobuf.dev/programming-guides/encoding/}
 */
export class WireWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  /** What has been written so far; a view, not a copy. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /**
   * Write an integer field (`int32`, `int64`, `enum`).
   *
   * @param field Field number.
   * @param value A safe integer; negative ones take ten bytes, as in protobuf.
   */
  int(field: number, value: number): void {
    this.#varint(field << 3);
    this.#varint(value);
  }

  /**
   * Write a `float` field.
   *
   * @param field Field number.
   * @param value Rounded to f32.
   */
  float(field: number, value: number): void {
    this.#varint(field << 3 | 5);
    this.#reserve(4);
    new DataView(this.#bytes.buffer).setFloat32(this.#length, value, true);
    this.#length += 4;
  }

  /**
   * Write a length-delimited field: `bytes`, or a message already encoded.
   *
   * @param field Field number.
   * @param value Its bytes.
   */
  data(field: number, value: Uint8Array): void {
    this.#varint(field << 3 | 2);
    this.#varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /**
   * Write a `string` field.
   *
   * @param field Field number.
   * @param value Written as UTF-8.
   */
  text(field: number, value: string): void {
    this.data(field, new TextEncoder().encode(value));
  }

  /**
   * Write a message field.
   *
   * @param field Field number.
   * @param write Writes the message's own fields.
   */
  message(field: number, write: (message: WireWriter) => void): void {
    const message = new WireWriter();
    write(message);
    this.data(field, message.bytes);
  }

  #varint(value: number): void {
    this.#reserve(10);
    // Two's complement of 64 bits, in two halves: bit operations are 32 bits wide.
    let low = value >>> 0;
    let high = Math.floor(value / 2 ** 32) >>> 0;
    while (high > 0 || low > 0x7f) {
      this.#bytes[this.#length++] = low & 0x7f | 0x80;
      low = (low >>> 7 | high << 25) >>> 0;
      high >>>= 7;
    }
    this.#bytes[this.#length++] = low;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const size = Math.max(2 * this.#bytes.length, this.#length + count);
    const grown = new Uint8Array(size);
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
