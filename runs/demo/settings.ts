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
};

/**
 * The students of the demo and of its controls.
 *
 * @param captured What the students learn from.
 * @returns For every name, a function from a seed to the student.
 */
export function students(
  captured: Capture,
): Record<string, (seed: number) => Student> {
  const fused = (method: string) => (seed: number) => ({
    aligned: captured.aligned[method]!,
    flags: { ...shared, "lm-weight": 0.3, "learning-rate": 2e-3, seed },
  });
  return {
    plain: (seed) => ({
      aligned: [],
      flags: { ...shared, "lm-weight": 1, "learning-rate": 2e-3, seed },
    }),
    "min-edit-distance": fused("min-edit-distance"),
    "optimal-transport": fused("optimal-transport"),
  };
}
