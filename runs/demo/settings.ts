import type { Capture } from "./capture.ts";
import type { Flag } from "./pta.ts";
import type { Student } from "./student.ts";

/**
 * What all students share. Chosen, like everything here, on validation text by
 * `pta run demo-settings`; docs/results.md reports on test text.
 */
const shared: Record<string, Flag> = {
  steps: 250,
  "batch-size": 8,
  "warmup-ratio": 0.05,
  "save-every": 0,
};

/** Peak learning rate and λ of plain training and of the fused students. */
const chosen = {
  plain: { learningRate: 1e-3, lmWeight: 1 },
  fused: { learningRate: 1e-3, lmWeight: 0.3 },
};

/** How hard a student learns, and how much its labels count. */
export interface Tuning {
  /** Peak of the learning rate. */
  learningRate: number;
  /** λ. */
  lmWeight: number;
}

/**
 * A student that learns from labels alone.
 *
 * @param seed Of the data order.
 * @param tuning Defaults to what was chosen.
 * @returns The student.
 */
export function plain(seed: number, tuning: Tuning = chosen.plain): Student {
  return { aligned: [], flags: flagsOf(seed, tuning) };
}

/**
 * A student that learns from a fused distribution as well.
 *
 * @param captured What there is to learn from.
 * @param method The alignment method.
 * @param seed Of the data order.
 * @param tuning Defaults to what was chosen.
 * @returns The student.
 */
export function fused(
  captured: Capture,
  method: string,
  seed: number,
  tuning: Tuning = chosen.fused,
): Student {
  return {
    aligned: captured.aligned[method]!,
    flags: flagsOf(seed, tuning),
  };
}

function flagsOf(
  seed: number,
  { learningRate, lmWeight }: Tuning,
): Record<string, Flag> {
  return {
    ...shared,
    "lm-weight": lmWeight,
    "learning-rate": learningRate,
    seed,
  };
}
