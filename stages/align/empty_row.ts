import type { AlignedRow, RepresentationRow } from "#/shards/mod.ts";

/**
 * An aligned row that says nothing yet.
 *
 * @param targetRow The target's representation of the block, T positions.
 * @param sourceRow The source's, for its bits per byte.
 * @param topK K', the tokens that a distribution may have.
 * @returns Padding, weight 0 and no logprobs at every position.
 */
export function emptyRow(
  { id, inputIds: { length } }: RepresentationRow,
  { bitsPerByte }: RepresentationRow,
  topK: number,
): AlignedRow {
  return {
    id,
    topK,
    topkIds: new Int32Array(length * topK).fill(-1),
    topkLogprobs: new Float32Array(length * topK).fill(-Infinity),
    weight: new Float32Array(length),
    marginalError: new Float32Array(length),
    labelLogprobs: new Float32Array(length).fill(NaN),
    bitsPerByte,
  };
}
