type Numbers =
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>;

/** A typed array one appends to; its memory is kept when it is cleared. */
export class GrowingArray<A extends Numbers> {
  #array: A;
  #length = 0;
  readonly #make: (length: number) => A;

  /**
   * Start empty.
   *
   * @param make Allocates an array of a given length.
   */
  constructor(make: (length: number) => A) {
    this.#make = make;
    this.#array = make(1024);
  }

  /** Entries so far. */
  get length(): number {
    return this.#length;
  }

  /** A view of the entries so far, valid until the next call. */
  get values(): A {
    return this.#array.subarray(0, this.#length) as A;
  }

  /**
   * Append one entry.
   *
   * @param value The entry.
   */
  push(value: number): void {
    this.#reserve(1);
    this.#array[this.#length++] = value;
  }

  /**
   * Append entries; into an f16 array they are rounded to nearest even.
   *
   * @param values The entries.
   */
  append(values: ArrayLike<number>): void {
    this.#reserve(values.length);
    this.#array.set(values, this.#length);
    this.#length += values.length;
  }

  /** Forget all entries. */
  clear(): void {
    this.#length = 0;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#array.length) return;
    const larger = this.#make(Math.max(needed, this.#array.length * 2));
    larger.set(this.values);
    this.#array = larger;
  }
}
