import { bytesKey } from "#/kernels/mod.ts";
import { TextPieces } from "#/stages/text_pieces.ts";
import type { Cost, Embeddings } from "./cost.ts";

/**
 * One edit, and the cosine distance in the target's embedding space.
 *
 * A token stands there as the mean of the target's embeddings of the pieces of
 * its bytes, so that the source's own space, which is another, is not needed.
 */
export const embedding: Cost = {
  description: "cosine distance in the target's embeddings",
  needsEmbeddings: true,
  needsEncoder: true,
  make: ({ target, embeddings }) => {
    if (!embeddings) {
      throw new RangeError(
        `Cannot tell the cost of embeddings: there are none, expected those ` +
          `of ${target.directory}`,
      );
    }
    const pieces = new TextPieces(target);
    const directions = new Map<string, Float64Array>();
    const directionOf = (bytes: Uint8Array) => {
      const key = bytesKey(bytes);
      let known = directions.get(key);
      if (!known) {
        known = meanDirection(pieces.of(bytes), embeddings);
        directions.set(key, known);
      }
      return known;
    };
    return (from, to) => 2 - dot(directionOf(from), directionOf(to));
  },
};

/** A unit vector along the mean of some rows; zeros of none. */
function meanDirection(
  ids: readonly number[],
  { values, width }: Embeddings,
): Float64Array {
  const sum = new Float64Array(width);
  for (const id of ids) {
    for (let d = 0; d < width; d++) sum[d]! += values[id * width + d]!;
  }
  const norm = Math.sqrt(dot(sum, sum));
  return norm > 0 ? sum.map((x) => x / norm) : sum;
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let d = 0; d < x.length; d++) sum += x[d]! * y[d]!;
  return sum;
}
