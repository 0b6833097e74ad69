import { mixture, mixtureTopK } from "#/stages/train/fusions/mixture.ts";
import type { Score } from "#/stages/train/fusions/scores.ts";
import type { Fusion } from "#/stages/train/fusions/sparse.ts";

/**
 * Mix the teachers' probabilities with shares ∝ exp(−score / θ).
 *
 * θ → 0 is {@linkcode minCe}, θ → ∞ the plain mean.
 *
 * @param score What decides, such as bits per byte of the document.
 * @returns The fusion.
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, AvgCE, there
 * by the loss per token, which favours coarse tokenizers.
 */
export function avgCe(score: Score): Omit<Fusion, "spans"> {
  return {
    topK: mixtureTopK,
    fuse(teachers, context) {
      const scores = teachers.map((teacher) => score(teacher, context));
      const best = Math.min(...scores);
      const raw = scores.map((bits) =>
        Math.exp((best - bits) / context.temperature)
      );
      const total = raw.reduce((sum, share) => sum + share, 0);
      const shares = raw.map((share) => share / total);
      return mixture(teachers, shares, context.vocabSize);
    },
  };
}
