import type { Score } from "#/stages/train/fusions/scores.ts";
import {
  distributionOf,
  type Fusion,
  type TeacherRow,
} from "#/stages/train/fusions/sparse.ts";

/**
 * Take the teacher with the lowest score among those that have a pair there.
 *
 * Of equal ones the one whose best token is the most likely, then the one whose
 * tokens have the smaller ids, so that the teachers' order does not matter.
 *
 * @param score What decides, such as bits per byte of the document.
 * @returns The fusion.
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, MinCE, there
 * by the loss per token, which favours coarse tokenizers.
 */
export function minCe(score: Score): Omit<Fusion, "spans"> {
  return {
    topK: (topKs) => Math.max(...topKs),
    fuse(teachers, context) {
      const best = teachers
        .map((teacher) => ({ teacher, bits: score(teacher, context) }))
        .reduce((best, other) =>
          other.bits < best.bits ||
            other.bits === best.bits && precedes(other.teacher, best.teacher)
            ? other
            : best
        );
      const { teacher } = best;
      return { ...distributionOf(teacher), weight: teacher.weight };
    },
  };
}

function precedes(a: TeacherRow, b: TeacherRow): boolean {
  const [most, other] = [mostLikely(a), mostLikely(b)];
  if (most !== other) return most > other;
  const at = a.ids.findIndex((id, k) =>
    id !== b.ids[k] || a.logprobs[k] !== b.logprobs[k]
  );
  if (at < 0) return a.weight > b.weight;
  return a.ids[at] === b.ids[at]
    ? a.logprobs[at]! > b.logprobs[at]!
    : a.ids[at]! < b.ids[at]!;
}

function mostLikely({ logprobs }: TeacherRow): number {
  return logprobs.reduce((most, logprob) => Math.max(most, logprob), -Infinity);
}
