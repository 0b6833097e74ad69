import type { PairMethod } from "./method.ts";
import { projected } from "./projected.ts";

/**
 * Keep the mass of candidates that have an exact counterpart: the same bytes,
 * or the same role. All other mass joins the residual.
 */
export const exactMatch: PairMethod = {
  description: "exact counterparts keep their mass",
  corrected: true,
  settings: [],
  pairs: () => projected(({ distance }) => distance === 0),
};
