import type { AlignedRow, RepresentationRow } from "#/shards/mod.ts";

/**
 * Representation rows as a model would make them: T grows with the row, topK
 * lists hold padding, the last label logprob is NaN.
 *
 * @param count How many.
 * @param topK K.
 * @returns The rows, in order.
 */
export function representationRows(
  count: number,
  topK = 3,
): RepresentationRow[] {
  return Array.from({ length: count }, (_, row) => {
    const length = 2 + row % 5;
    const filled = (entry: number) => entry % topK < topK - row % 2;
    return {
      id: `block ${row}`,
      textHash: `hash ${row}`,
      inputIds: Int32Array.from({ length }, (_, t) => row * 10 + t),
      byteEnds: Int32Array.from({ length }, (_, t) => t),
      topK,
      topkIds: Int32Array.from(
        { length: length * topK },
        (_, entry) => filled(entry) ? entry : -1,
      ),
      topkLogprobs: Float32Array.from(
        { length: length * topK },
        (_, entry) => filled(entry) ? -entry / 4 : -Infinity,
      ),
      labelLogprobs: Float32Array.from(
        { length },
        (_, t) => t === length - 1 ? NaN : -t / 8,
      ),
      bitsPerByte: 1 + row / 4,
    };
  });
}

/**
 * What a source says about {@linkcode representationRows}, at every second row.
 *
 * @param rows The target's rows.
 * @param topK K of the source.
 * @returns One row each.
 */
export function alignedRows(
  rows: readonly RepresentationRow[],
  topK = 2,
): AlignedRow[] {
  return rows.map(({ id, inputIds: { length } }, row) => ({
    id,
    topK,
    topkIds: Int32Array.from({ length: length * topK }, (_, entry) => entry),
    topkLogprobs: Float32Array.from(
      { length: length * topK },
      (_, entry) => -entry / 2,
    ),
    weight: Float32Array.from(
      { length },
      (_, t) => t < length - 1 && t % 2 === 0 ? 1 : 0,
    ),
    marginalError: new Float32Array(length),
    labelLogprobs: Float32Array.from(
      { length },
      (_, t) => t < length - 1 && t % 2 === 0 ? -t / 16 : NaN,
    ),
    bitsPerByte: 2 + row / 4,
  }));
}
