import {
  probabilityOf,
  type SparseDistribution,
} from "#/stages/train/fusions/mod.ts";

/** What decides how much of a taught row its label keeps. */
export interface LmWeightContext {
  /** λ as given. */
  lmWeight: number;
  /** How much of the training is done, from 0 to less than 1. */
  progress: number;
  /** The fused distribution. */
  fused: SparseDistribution;
  /** What the target said before training, where the schedule asks for it. */
  own?: SparseDistribution | undefined;
  /** The token that follows. */
  label: number;
  /** Tokens of the vocabulary. */
  vocabSize: number;
}

/** A way to choose λ of a row. */
export interface LmWeightSchedule {
  /** Whether it needs the target's own distribution. */
  own: boolean;
  /**
   * λ of one row.
   *
   * @param context What decides.
   * @returns 0 to 1.
   */
  lmWeight(context: LmWeightContext): number;
}

/**
 * How λ goes, by name.
 *
 * - `fixed`: λ.
 * - `decay`: λ at first, then in a line to 1 at the end, so that training ends on
 *   the labels alone; FuseLLM's `hard_and_decay`.
 * - `adaptive`: 1 − (1 − λ) min(1, p(y) / q₀(y)), with p the fused distribution,
 *   q₀ the target's own before training and y the label. A row learns in full
 *   from a teacher that finds the label no less likely than the target did, and
 *   the less the more it is mistaken. FuseLLM's `soft`, which also follows how
 *   well the teacher does, takes one number for a whole packed row.
 *
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, and its code.
 */
export const lmWeightSchedules = {
  fixed: { own: false, lmWeight: ({ lmWeight }) => lmWeight },
  decay: {
    own: false,
    lmWeight: ({ lmWeight, progress }) => lmWeight + (1 - lmWeight) * progress,
  },
  adaptive: {
    own: true,
    lmWeight({ lmWeight, fused, own, label, vocabSize }) {
      const theirs = probabilityOf(fused, label, vocabSize);
      const ours = probabilityOf(own!, label, vocabSize);
      const trust = theirs >= ours ? 1 : theirs / ours;
      return 1 - (1 - lmWeight) * trust;
    },
  },
} satisfies Record<string, LmWeightSchedule>;

/** A name that `--lm-weight-schedule` takes. */
export type LmWeightScheduleName = keyof typeof lmWeightSchedules;
