import type { Masses, Pair } from "./method.ts";
import { projected } from "./projected.ts";

/**
 * Send the mass of every candidate to its images under the vocabulary mapping,
 * summed where several candidates have the same image.
 *
 * @param pairs Position pairs.
 * @returns One distribution per pair.
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, whose code
 * keeps the first of several candidates and drops the others' mass.
 */
export function minEditDistance(pairs: readonly Pair[]): Promise<Masses[]> {
  return Promise.resolve(pairs.map((pair) => projected(pair, () => true)));
}
