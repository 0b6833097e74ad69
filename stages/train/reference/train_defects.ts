import type { Switches } from "#/stages/reference_switches.ts";
import { fusionDefects } from "#/stages/train/reference/reference_fusion.ts";

/** What published training does that is thought to be wrong, one switch each. */
export const trainDefects = {
  ...fusionDefects,
  "teacher-temperature":
    "the temperature is the teachers' alone, and its square multiplies nothing",
} as const;

/** Which of them are switched on. */
export type TrainDefects = Switches<typeof trainDefects>;

/**
 * The defects of the fusion that are on.
 *
 * @param defects All switches.
 * @returns Their names.
 */
export function fusionDefectsOn(defects: TrainDefects): string[] {
  return Object.keys(fusionDefects)
    .filter((name) => defects[name as keyof TrainDefects]);
}
