import type { LossOptions, LossRows } from "#/kernels/losses/loss_rows.ts";
import { everyToken, rankTeacher } from "#/kernels/losses/rank_tokens.ts";

/**
 * Give a teacher's tokens the ids of the model's tokens of equal rank: the
 * reference for `rankTokens`. Of equal logits the lower token comes first.
 *
 * @param rows The rows.
 * @param options The residual counts.
 * @param isRanked Which tokens are known by rank, `[V]`; all by default.
 * @returns The rows with such teachers.
 */
export function rankTokensCpu<Logits extends ArrayLike<number>>(
  rows: LossRows<Logits>,
  options: LossOptions,
  isRanked: Uint32Array = everyToken(rows),
): LossRows<Logits> {
  const { logits, labels, vocabSize, topK } = rows;
  const { directions, ...teacher } = rankTeacher(rows, options, isRanked);
  const { fusedIds } = teacher;
  for (let row = 0; row < labels.length; row++) {
    const z = (v: number) => logits[row * vocabSize + v]!;
    let last = -1;
    for (let k = row * topK; k < (row + 1) * topK; k++) {
      const direction = directions[k]!;
      if (direction === 0) continue;
      if (k > row * topK && directions[k - 1] !== direction) last = -1;
      const isBefore = (v: number, w: number) =>
        direction * (z(v) - z(w)) > 0 ||
        (z(v) === z(w) && direction * (v - w) < 0);
      let best = -1;
      for (let v = 0; v < vocabSize; v++) {
        if (isRanked[v] === 0 || (last >= 0 && !isBefore(last, v))) continue;
        if (best < 0 || isBefore(v, best)) best = v;
      }
      fusedIds[k] = last = best;
    }
  }
  return { ...rows, ...teacher };
}
