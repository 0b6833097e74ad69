import type { RepresentationRow } from "#/shards/mod.ts";
import { lastEnd, type PositionPairs } from "./position_pairs.ts";

/**
 * Add up what a source makes of the bytes between two position pairs: by the
 * chain rule, the logprob of those bytes as it spells them.
 *
 * @param pairs Which rows face each other, P of them.
 * @param sourceRow What the source says of its labels.
 * @returns The logprob of the bytes from each pair to the next, or to the end of
 * the sequence, `[P]`.
 */
export function spanLogprobs(
  { source }: PositionPairs,
  { byteEnds, labelLogprobs }: Pick<
    RepresentationRow,
    "byteEnds" | "labelLogprobs"
  >,
): Float64Array {
  const sums = new Float64Array(source.length);
  for (let k = 0; k < source.length; k++) {
    const end = source[k + 1] ?? lastEnd(byteEnds, source[k]!);
    for (let s = source[k]!; s < end; s++) sums[k]! += labelLogprobs[s]!;
  }
  return sums;
}
