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
  { ids, masses, length }: Masses,
  { topK, topkIds, topkLogprobs }: Pick<
    AlignedRow,
    "topK" | "topkIds" | "topkLogprobs"
  >,
  t: number,
): number {
  let kept = 0;
  for (let k = 0; k < length; k++) {
    const mass = masses[k]!;
    if (!(mass > 0)) continue;
    let rank = kept;
    for (; rank > 0; rank--) {
      const other = order[rank - 1]!;
      const isLarger = mass > masses[other]! ||
        mass === masses[other] && ids[k]! < ids[other]!;
      if (!isLarger) break;
    }
    if (rank === topK) continue;
    if (kept < topK) kept++;
    for (let next = kept - 1; next > rank; next--) {
      order[next] = order[next - 1]!;
    }
    order[rank] = k;
  }
  for (let rank = 0; rank < kept; rank++) {
    const k = order[rank]!;
    topkIds[t * topK + rank] = ids[k]!;
    topkLogprobs[t * topK + rank] = Math.log(masses[k]!);
  }
  return kept;
}

/** The largest so far, in order; used by one call at a time. */
const order: number[] = [];
