import type { AlignedRow } from "#/shards/mod.ts";
import type { Masses } from "./methods/mod.ts";

/**
 * Write the largest masses of one position as logprobs, largest first; of equal
 * ones the smaller id. What is not kept joins the residual.
 *
 * @param distribution Masses by target id; nothing is kept of those that are 0.
 * @param into Where to write.
 * @param t Which position.
 * @returns How many were kept.
 */
export function writeTop(
  { ids, masses }: Masses,
  { topK, topkIds, topkLogprobs }: Pick<
    AlignedRow,
    "topK" | "topkIds" | "topkLogprobs"
  >,
  t: number,
): number {
  const order = ids.map((_, k) => k)
    .filter((k) => masses[k]! > 0)
    .sort((k, l) => masses[l]! - masses[k]! || ids[k]! - ids[l]!)
    .slice(0, topK);
  order.forEach((k, rank) => {
    topkIds[t * topK + rank] = ids[k]!;
    topkLogprobs[t * topK + rank] = Math.log(masses[k]!);
  });
  return order.length;
}
