/** Gaps between arrays up to this many bytes are theirs: padding. */
const PADDING = 64;

/** Numbers that an array begins at a multiple of. */
const ALIGNMENT = 16;

/** Memory that is not in use yet: holds arrays as far as they fit. */
export class Room {
  readonly #free: Float32Array[] = [];

  /**
   * Room in arrays; those that lie side by side are one.
   *
   * @param arrays Arrays whose content is not needed, in the order of their
   * addresses where they share a buffer.
   */
  constructor(arrays: readonly Float32Array[]) {
    for (const array of arrays) {
      const last = this.#free.at(-1);
      if (last && isBehind(array, last)) {
        const end = array.byteOffset + array.byteLength;
        this.#free[this.#free.length - 1] = new Float32Array(
          last.buffer,
          last.byteOffset,
          (end - last.byteOffset) / 4,
        );
      } else this.#free.push(array);
    }
  }

  /**
   * Take an array out of it.
   *
   * @param length How many numbers.
   * @returns The array, with whatever it held; `undefined` where none fits.
   */
  take(length: number): Float32Array | undefined {
    const index = this.#free.findIndex((free) => free.length >= length);
    if (index < 0) return undefined;
    const free = this.#free[index]!;
    const next = Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    this.#free[index] = free.subarray(next);
    return free.subarray(0, length);
  }
}

function isBehind(array: Float32Array, last: Float32Array): boolean {
  const gap = array.byteOffset - last.byteOffset - last.byteLength;
  return array.buffer === last.buffer && gap >= 0 && gap < PADDING;
}
