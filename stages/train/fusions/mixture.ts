import {
  distributionOf,
  type FusedRow,
  type SparseDistribution,
  type TeacherRow,
} from "#/stages/train/fusions/sparse.ts";

/**
 * Mix the teachers' probabilities.
 *
 * A token that only some teachers list has, for the others, an even share of
 * their residual. The row's weight is the mean of the teachers' by share.
 *
 * @param teachers The teachers' rows.
 * @param shares A share of each; they sum to 1.
 * @param vocabSize Tokens of the vocabulary.
 * @returns The mixture, whose mass is 1.
 */
export function mixture(
  teachers: readonly TeacherRow[],
  shares: readonly number[],
  vocabSize: number,
): FusedRow {
  const parts = teachers.map((teacher) => distributionOf(teacher));
  const weight = teachers.reduce(
    (sum, teacher, index) => sum + shares[index]! * teacher.weight,
    0,
  );
  return { ...mixed(parts, shares, vocabSize), weight };
}

function mixed(
  parts: readonly SparseDistribution[],
  shares: readonly number[],
  vocabSize: number,
): SparseDistribution {
  const sums = new Map<number, number>();
  let evenly = 0;
  parts.forEach(({ ids, probs, residual }, index) => {
    const share = shares[index]!;
    const tail = vocabSize - ids.length;
    const each = tail > 0 ? share * residual / tail : 0;
    ids.forEach((id, k) => {
      sums.set(id, (sums.get(id) ?? 0) + share * probs[k]! - each);
    });
    evenly += each;
  });
  const ids = [...sums.keys()];
  const probs = ids.map((id) => Math.max(0, sums.get(id)! + evenly));
  const mass = probs.reduce((sum, p) => sum + p, 0);
  // A vocabulary that the lists cover has no tail to hold the residual.
  const residual = ids.length < vocabSize ? Math.max(0, 1 - mass) : 0;
  const scale = 1 / (mass + residual);
  return {
    ids,
    probs: probs.map((p) => p * scale),
    residual: residual * scale,
  };
}

/**
 * K of a mixture: no token may be in two lists.
 *
 * @param topKs K of every teacher.
 * @returns Their sum.
 */
export function mixtureTopK(topKs: readonly number[]): number {
  return topKs.reduce((sum, topK) => sum + topK, 0);
}
