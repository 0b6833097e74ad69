import type { PairMethod } from "./method.ts";
import { projected } from "./projected.ts";

/**
 * Send the mass of every candidate to its images under the vocabulary mapping,
 * whichever that is, summed where several candidates have the same image.
 *
 * Under the mapping `min-edit-distance` this is what FuseLLM is about, whose
 * code keeps the first of several candidates and drops the others' mass.
 *
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}.
 */
export const images: PairMethod = {
  description: "mass goes to its images under the vocabulary mapping",
  corrected: true,
  settings: [],
  pairs: () => projected(() => true),
};
