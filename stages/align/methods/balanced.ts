import type { PairMethod } from "./method.ts";
import { optimalTransport } from "./optimal_transport.ts";

/**
 * The paper's own problem, solved until it has converged, or its iterations are
 * spent: both marginals are met, τ → ∞. The column sums are then the target's own distribution whatever
 * the source says, so that the law cannot hold.
 *
 * @see Zeng et al. 2025, {@link https://arxiv.org/abs/2509.17276}.
 */
export const balanced: PairMethod = {
  description: "transport that meets the target's distribution",
  corrected: false,
  settings: ["epsilon", "threshold", "iterations", "cost"],
  pairs: (pairs, options) =>
    optimalTransport.pairs(pairs, {
      ...options,
      sinkhorn: { ...options.sinkhorn, tau: Infinity },
    }),
};
