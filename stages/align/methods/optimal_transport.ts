import {
  relaxationOf,
  sinkhornDefaults,
  sinkhornScaling,
} from "#/kernels/mod.ts";
import { release } from "#/stages/rpc.ts";
import type { PairMethod, SolvePairs, TransportOptions } from "./method.ts";
import { transportBatches } from "./transport_batches.ts";
import { transportSparse } from "./transport_sparse.ts";

/**
 * Transport the source's mass to the target's tokens, semi-relaxed.
 *
 * Rows are the source's top k, a = p / Σ p. Columns are the target's top k
 * joined with the images of the rows; b is the target's probability, elsewhere
 * an even share of its residual, normalized. C is the cost
 * between tokens, by default the edit distance of decoded bytes. Rows are met exactly, columns at the price τ, so that mass stays where
 * it is free to stay, and goes to what the target finds likely where several
 * tokens are equally near. The residual, and the mass of candidates that have
 * nowhere to go, is not transported. What comes out are column sums times the
 * mass that was transported.
 */
export const optimalTransport: PairMethod = {
  description: "transport that meets the source's distribution",
  corrected: true,
  settings: ["epsilon", "tau", "threshold", "iterations", "cost"],
  pairs: transport,
};

function transport(options: TransportOptions): SolvePairs {
  const { solve } = options;
  if (solve) return transportBatches({ ...options, solve });
  // Balanced problems leave no cell out, and are solved two at a time.
  const relaxation = relaxationOf({ ...sinkhornDefaults, ...options.sinkhorn });
  if (relaxation < 1) return transportSparse(options);
  return transportBatches({
    ...options,
    solve(problems, sinkhorn) {
      const output = sinkhornScaling(problems, sinkhorn);
      release(problems);
      return Promise.resolve(output);
    },
  });
}
