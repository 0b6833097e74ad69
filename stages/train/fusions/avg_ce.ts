import { distributionOf, type Fusion } from "#/stages/train/fusions/sparse.ts";

/** θ: the difference in bits per byte that makes one teacher e times heavier. */
const THETA = 1;

/**
 * Mix the teachers' probabilities with shares ∝ exp(−bits per byte / θ), θ = 1.
 *
 * A token that only some teachers list has, for the others, an even share of
 * their residual. The row's weight is the mean of the teachers' by share.
 *
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, AvgCE.
 */
export const avgCe: Fusion = {
  topK: (topKs) => topKs.reduce((sum, topK) => sum + topK, 0),
  fuse(teachers, vocabSize) {
    const best = Math.min(...teachers.map(({ bitsPerByte }) => bitsPerByte));
    const raw = teachers.map(({ bitsPerByte }) =>
      Math.exp((best - bitsPerByte) / THETA)
    );
    const total = raw.reduce((sum, share) => sum + share, 0);
    const mixed = new Map<number, number>();
    let evenly = 0;
    let residual = 0;
    let weight = 0;
    teachers.forEach((teacher, index) => {
      const share = raw[index]! / total;
      const { ids, probs, residual: rest } = distributionOf(teacher);
      const tail = vocabSize - ids.length;
      const each = tail > 0 ? share * rest / tail : 0;
      ids.forEach((id, k) => {
        mixed.set(id, (mixed.get(id) ?? 0) + share * probs[k]! - each);
      });
      evenly += each;
      residual += share * rest;
      weight += share * teacher.weight;
    });
    const ids = [...mixed.keys()];
    const probs = ids.map((id) => Math.max(0, mixed.get(id)! + evenly));
    const mass = probs.reduce((sum, p) => sum + p, 0);
    // A vocabulary that the lists cover has no tail to hold the residual.
    residual = ids.length < vocabSize ? Math.max(0, 1 - mass) : 0;
    const scale = 1 / (mass + residual);
    return {
      ids,
      probs: probs.map((p) => p * scale),
      residual: residual * scale,
      weight,
    };
  },
};
