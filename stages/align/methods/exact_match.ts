import type { Masses, Pair } from "./method.ts";
import { projected } from "./projected.ts";

/**
 * Keep the mass of candidates that have an exact counterpart: the same bytes,
 * or the same role. All other mass joins the residual.
 *
 * @param pairs Position pairs.
 * @returns One distribution per pair.
 */
export function exactMatch(pairs: readonly Pair[]): Promise<Masses[]> {
  return Promise.resolve(
    pairs.map((pair) => projected(pair, ({ distance }) => distance === 0)),
  );
}
