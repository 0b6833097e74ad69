import { distributionOf, type Fusion } from "#/stages/train/fusions/sparse.ts";

/**
 * Take the teacher with the lowest bits per byte of the document; of equal ones
 * the first.
 *
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, MinCE, there
 * by the loss per token, which favours coarse tokenizers.
 */
export const minCe: Fusion = {
  topK: (topKs) => Math.max(...topKs),
  fuse(teachers) {
    const best = teachers.reduce((best, teacher) =>
      teacher.bitsPerByte < best.bitsPerByte ? teacher : best
    );
    return { ...distributionOf(best), weight: best.weight };
  },
};
