import { crossEntropy } from "#/kernels/losses/cross_entropy/cross_entropy.ts";
import {
  type LossOptions,
  type LossOutput,
  type LossRows,
  type Teacher,
  temperTeacher,
} from "#/kernels/losses/loss_rows.ts";

/**
 * Compute the Kullback-Leibler divergence from model to teacher, and its
 * gradient, on the GPU.
 *
 * It is the cross-entropy less the teacher's own entropy, which no logit
 * changes: the kernel and the gradient are {@linkcode crossEntropy}'s.
 *
 * @param device Where to run.
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients, equal to {@linkcode klCpu}'s within rtol 1e-5
 * and an atol of 1e-6 · T².
 * @throws {RangeError} If the arrays do not fit each other.
 */
export async function kl(
  device: GPUDevice,
  rows: LossRows,
  options: LossOptions = {},
): Promise<LossOutput> {
  const output = await crossEntropy(device, rows, options);
  const entropy = teacherEntropy(rows, options);
  return {
    ...output,
    distance: output.distance.map((value, row) => value - entropy[row]!),
  };
}

/**
 * Compute the entropy of a teacher, its tail one bucket, times T².
 *
 * @param teacher The teacher, at temperature 1.
 * @param options Its temperature T.
 * @returns −Σ p log p − r log r at T, times T², `[N]`.
 */
export function teacherEntropy(
  teacher: Teacher,
  { temperature = 1 }: LossOptions = {},
): Float64Array {
  const { fusedIds, topK } = teacher;
  const { fusedProbs, fusedResidual } = temperTeacher(teacher, temperature);
  const term = (p: number) => p > 0 ? -p * Math.log(p) : 0;
  return Float64Array.from(fusedResidual, (residual, row) => {
    let entropy = term(residual);
    for (let k = row * topK; k < (row + 1) * topK; k++) {
      if (fusedIds[k]! >= 0) entropy += term(fusedProbs[k]!);
    }
    return entropy * temperature ** 2;
  });
}
