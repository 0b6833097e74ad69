import type { LossOptions, LossRows } from "#/kernels/losses/loss_rows.ts";
import { residuals } from "#/kernels/losses/residuals.ts";

/** The teacher's part of {@linkcode LossRows}. */
export type Teacher = Pick<
  LossRows<unknown>,
  "fusedIds" | "fusedProbs" | "fusedResidual" | "vocabSize" | "topK"
>;

/**
 * Raise a teacher's temperature: p ∝ p^(1/T), its residual spread evenly over
 * the tokens outside its top-k first. The mass of a row is kept.
 *
 * @param teacher The teacher, at temperature 1.
 * @param temperature T.
 * @returns Its probabilities and residuals at T; the same arrays at T = 1.
 */
export function temperTeacher(
  teacher: Teacher,
  temperature: number,
): {
  fusedProbs: Float32Array<ArrayBuffer>;
  fusedResidual: Float32Array<ArrayBuffer>;
} {
  const { fusedIds, fusedProbs, fusedResidual, vocabSize, topK } = teacher;
  if (temperature === 1) return { fusedProbs, fusedResidual };
  const probs = fusedProbs.slice();
  const residuals = fusedResidual.slice();
  for (let row = 0; row < residuals.length; row++) {
    const ids = fusedIds.subarray(row * topK, (row + 1) * topK);
    const known = probs.subarray(row * topK, (row + 1) * topK);
    const tail = vocabSize - ids.reduce((n, id) => id < 0 ? n : n + 1, 0);
    const power = (p: number) => p > 0 ? p ** (1 / temperature) : 0;
    const residual = tail > 0 ? tail * power(residuals[row]! / tail) : 0;
    let before = residuals[row]!;
    let after = residual;
    known.forEach((p, k) => {
      before += p;
      after += power(p);
      known[k] = power(p);
    });
    const scale = after > 0 ? before / after : 0;
    known.forEach((p, k) => known[k] = p * scale);
    residuals[row] = residual * scale;
  }
  return { fusedProbs: probs, fusedResidual: residuals };
}

/**
 * Make a teacher ready to be compared: tempered, and its residual dropped where
 * the option says so.
 *
 * @param teacher The teacher, at temperature 1.
 * @param options Temperature and residual.
 * @returns Its probabilities and residuals; the same arrays where they stay.
 */
export function prepareTeacher(
  teacher: Teacher,
  { temperature = 1, residual = "bucket" }: LossOptions,
): {
  fusedProbs: Float32Array<ArrayBuffer>;
  fusedResidual: Float32Array<ArrayBuffer>;
} {
  const tempered = temperTeacher(teacher, temperature);
  if (!residuals[residual].scales) return tempered;
  const { fusedIds, topK } = teacher;
  const probs = tempered.fusedProbs.slice();
  const rests = tempered.fusedResidual.slice();
  for (let row = 0; row < tempered.fusedResidual.length; row++) {
    let mass = 0;
    for (let k = row * topK; k < (row + 1) * topK; k++) {
      if (fusedIds[k]! >= 0) mass += probs[k]!;
    }
    if (mass === 0) continue;
    rests[row] = 0;
    for (let k = row * topK; k < (row + 1) * topK; k++) probs[k]! /= mass;
  }
  return { fusedProbs: probs, fusedResidual: rests };
}
