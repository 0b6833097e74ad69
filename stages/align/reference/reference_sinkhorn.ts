import { numpySum } from "./numpy_sum.ts";
import { asPublished, type ReferenceDefects } from "./reference_defects.ts";

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
  /** Sweeps at most, of which the published code knows no limit. Defaults to 100 000. */
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
  plan: PrimalPlan | LogPlan,
  a: ArrayLike<number>,
  { threshold = 1e-5, maxIterations = 1e5, defects = asPublished }:
    ReferenceSinkhornOptions,
): number {
  let before: ArrayLike<number> = new Float64Array(a.length);
  let iterations = 0;
  for (; iterations < maxIterations; iterations++) {
    const sums = plan.rowSums();
    const moved = errors(sums, defects["stop-rule"] ? before : a);
    // A sum that is not a number ends the loop, as in Python.
    if (!moved.every((e) => !Number.isNaN(e))) break;
    if (Math.max(...moved) <= threshold) break;
    before = plan.scaleRows(sums);
    plan.scaleColumns();
  }
  return iterations;
}

function errors(sums: Float64Array, expected: ArrayLike<number>): Float64Array {
  return sums.map((sum, i) => Math.abs(expected[i]! - sum));
}

/** What both forms of a plan know. */
interface PlanSettings {
  a: Float64Array;
  b: Float64Array;
  /** Sums count as at least this. */
  floor: number;
  /** Of the column factors; 1 where columns are balanced. */
  exponent: number;
}

/** A plan as it is. */
class PrimalPlan {
  readonly #p: Float64Array;
  readonly #settings: PlanSettings;
  readonly #factors: Float64Array;

  constructor(
    cost: ArrayLike<number>,
    lambda: number,
    settings: PlanSettings,
  ) {
    const p = Float64Array.from(cost, (c) => Math.exp(-lambda * c));
    const total = numpySum(p);
    this.#p = p.map((value) => value / total);
    this.#settings = settings;
    this.#factors = new Float64Array(settings.b.length).fill(1);
  }

  rowSums(): Float64Array {
    const m = this.#settings.b.length;
    return this.#settings.a.map((_, i) => numpySum(this.#p, i * m, i * m + m));
  }

  /** Returns the sums that it divided by. */
  scaleRows(sums: Float64Array): Float64Array {
    const { a, b, floor } = this.#settings;
    const divisors = sums.map((sum) => sum < floor ? floor : sum);
    divisors.forEach((divisor, i) => {
      const factor = divisor === 0 ? 0 : a[i]! / divisor;
      for (let j = 0; j < b.length; j++) this.#p[i * b.length + j]! *= factor;
    });
    return divisors;
  }

  scaleColumns(): void {
    const { b, floor, exponent } = this.#settings;
    const p = this.#p;
    const m = b.length;
    for (let j = 0; j < m; j++) {
      let sum = 0;
      for (let k = j; k < p.length; k += m) sum += p[k]!;
      if (sum < floor) sum = floor;
      let factor = sum === 0 ? 0 : b[j]! / sum;
      if (exponent !== 1 && factor > 0) {
        // The whole factor so far, y, becomes (b / Kᵀx)^exponent.
        const whole = (factor * this.#factors[j]!) ** exponent;
        factor = whole / this.#factors[j]!;
        this.#factors[j] = whole;
      }
      for (let k = j; k < p.length; k += m) p[k]! *= factor;
    }
  }

  cells(): Float64Array {
    return this.#p;
  }
}

/** A plan as logarithms, which do not underflow. */
class LogPlan {
  readonly #logs: Float64Array;
  readonly #settings: PlanSettings;
  readonly #factors: Float64Array;

  constructor(
    cost: ArrayLike<number>,
    lambda: number,
    settings: PlanSettings,
  ) {
    const logs = Float64Array.from(cost, (c) => -lambda * c);
    const total = logSumExp(logs, 0, logs.length, 1);
    this.#logs = logs.map((value) => value - total);
    this.#settings = settings;
    this.#factors = new Float64Array(settings.b.length);
  }

  rowSums(): Float64Array {
    const m = this.#settings.b.length;
    return this.#settings.a.map((_, i) => {
      return Math.exp(logSumExp(this.#logs, i * m, i * m + m, 1));
    });
  }

  scaleRows(sums: Float64Array): Float64Array {
    const { a, b, floor } = this.#settings;
    const m = b.length;
    a.forEach((mass, i) => {
      const sum = logSumExp(this.#logs, i * m, i * m + m, 1);
      const step = Math.log(mass) - Math.max(sum, Math.log(floor));
      for (let j = 0; j < m; j++) this.#logs[i * m + j]! += step;
    });
    return sums.map((sum) => sum < floor ? floor : sum);
  }

  scaleColumns(): void {
    const { b, floor, exponent } = this.#settings;
    const logs = this.#logs;
    const m = b.length;
    b.forEach((mass, j) => {
      const sum = logSumExp(logs, j, logs.length, m);
      const step = Math.log(mass) - Math.max(sum, Math.log(floor));
      if (Number.isNaN(step)) return;
      const whole = exponent * (step + this.#factors[j]!);
      const change = exponent === 1 ? step : whole - this.#factors[j]!;
      if (exponent !== 1) this.#factors[j] = whole;
      for (let k = j; k < logs.length; k += m) logs[k]! += change;
    });
  }

  cells(): Float64Array {
    return this.#logs.map(Math.exp);
  }
}

function logSumExp(
  logs: Float64Array,
  first: number,
  end: number,
  step: number,
): number {
  let most = -Infinity;
  for (let k = first; k < end; k += step) most = Math.max(most, logs[k]!);
  if (most === -Infinity) return most;
  let sum = 0;
  for (let k = first; k < end; k += step) sum += Math.exp(logs[k]! - most);
  return most + Math.log(sum);
}
