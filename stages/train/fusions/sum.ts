import { mixture, mixtureTopK } from "#/stages/train/fusions/mixture.ts";
import type { Fusion } from "#/stages/train/fusions/sparse.ts";

/**
 * The sum of one loss per teacher, over their number M: every teacher has a vote
 * of 1 / M wherever it has a pair, and where only some have one a row learns
 * that much less.
 *
 * For cross-entropy Σ_m w_m D(p_m, q) = W D(p̄, q) with W = Σ_m w_m and p̄ the
 * mean of the p_m by w_m, as D is linear in the teacher; for KL up to a constant,
 * so that gradients agree. For a loss that is not linear it is the loss of p̄.
 */
export const sum: Fusion = {
  topK: mixtureTopK,
  fuse(teachers, { vocabSize, teachers: all }) {
    const total = teachers.reduce((sum, { weight }) => sum + weight, 0);
    const shares = teachers.map(({ weight }) => weight / total);
    return { ...mixture(teachers, shares, vocabSize), weight: total / all };
  },
};
