import { numpySum } from "./numpy_sum.ts";
import { asPublished, type ReferenceDefects } from "./reference_defects.ts";
import { LogPlan, PrimalPlan, type ScaledPlan } from "./scaled_plan.ts";

/** One transport problem. */
export interface ReferenceProblem {
  /** Cost matrix C, `[N, M]`. */
  cost: ArrayLike<number>;
  /** Row marginal a, `[N]`. */
  a: ArrayLike<number>;
  /** Column marginal b, `[M]`. */
  b: ArrayLike<number>;
}

/** How to solve it. */
export interface ReferenceSinkhornOptions {
  /** Inverse regularization λ. Defaults to 30. */
  lambda?: number;
  /** Stopping tolerance. Defaults to 1e-5. */
  threshold?: number;
  /** Weight of the columns where they are not balanced, in cost units. Defaults to 1/λ. */
  tau?: number;
  /** Sweeps at most, of which the published code knows no limit. Defaults to 10 000. */
  maxIterations?: number;
  /** Which defects to reproduce. Defaults to all. */
  defects?: ReferenceDefects;
}

/** A transport plan and how it came about. */
export interface ReferencePlan {
  /** Transport plan P, `[N, M]` f64; NaN where every entry underflows. */
  plan: Float64Array;
  /** ⟨C, P⟩. */
  distance: number;
  /** Sweeps made. */
  iterations: number;
  /** L1 distance of the row sums to `a`. */
  marginalError: number;
}

/**
 * Solve a transport problem as PTA-LLM does, in f64.
 *
 * P = exp(−λC) / Σ, then sweeps: rows times a over their sums, columns times b
 * over theirs, until row sums move by at most `threshold`. Sums are taken in
 * numpy's order, so that the number of sweeps is the published one. Its defects
 * `stop-rule`, `clamp`, `primal`, `balanced` and `columns-last` can each be
 * switched off; without `balanced`, columns take the exponent τ / (τ + 1/λ).
 *
 * @param problem Costs and marginals.
 * @param options See {@linkcode ReferenceSinkhornOptions}.
 * @returns The plan.
 * @throws {RangeError} If the marginals do not fit the cost.
 * @see Zeng et al. 2025, {@link https://arxiv.org/abs/2509.17276}.
 */
export function referenceSinkhorn(
  { cost, a, b }: ReferenceProblem,
  options: ReferenceSinkhornOptions = {},
): ReferencePlan {
  if (cost.length !== a.length * b.length || cost.length === 0) {
    throw new RangeError(
      `Cannot solve a transport problem: cost has ${cost.length} entries, ` +
        `expected ${a.length} × ${b.length}, at least one`,
    );
  }
  const { lambda = 30, tau = 1 / lambda, defects = asPublished } = options;
  const exponent = defects.balanced ? 1 : tau * lambda / (tau * lambda + 1);
  const State = defects.primal ? PrimalPlan : LogPlan;
  const plan = new State(cost, lambda, {
    a: Float64Array.from(a),
    b: Float64Array.from(b),
    floor: defects.clamp ? 1e-10 : 0,
    exponent,
  });
  const iterations = sweep(plan, a, options);
  if (!defects["columns-last"]) plan.scaleRows(plan.rowSums());
  const cells = plan.cells();
  return {
    plan: cells,
    distance: numpySum(cells.map((p, k) => p * cost[k]!)),
    iterations,
    marginalError: errors(plan.rowSums(), a).reduce((sum, e) => sum + e, 0),
  };
}

/** Sweep until the stopping rule holds. */
function sweep(
  plan: ScaledPlan,
  a: ArrayLike<number>,
  { threshold = 1e-5, maxIterations = 1e4, defects = asPublished }:
    ReferenceSinkhornOptions,
): number {
  let before: ArrayLike<number> = new Float64Array(a.length);
  let iterations = 0;
  for (; iterations < maxIterations; iterations++) {
    const sums = plan.rowSums();
    const moved = errors(sums, defects["stop-rule"] ? before : a);
    const most = moved.reduce((most, each) => Math.max(most, each), 0);
    // A sum that is not a number ends the loop, as in Python.
    if (!(most > threshold)) break;
    before = plan.scaleRows(sums);
    plan.scaleColumns();
  }
  return iterations;
}

function errors(sums: Float64Array, expected: ArrayLike<number>): Float64Array {
  return sums.map((sum, i) => Math.abs(expected[i]! - sum));
}
