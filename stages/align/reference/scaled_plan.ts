import { numpyExp } from "./numpy_exp.ts";
import { numpySum } from "./numpy_sum.ts";

/** What both forms of a plan know. */
export interface PlanSettings {
  /** Row marginal, `[N]`. */
  a: Float64Array;
  /** Column marginal, `[M]`. */
  b: Float64Array;
  /** Sums count as at least this. */
  floor: number;
  /** Of the column factors; 1 where columns are balanced. */
  exponent: number;
}

/** A transport plan whose rows and columns can be scaled. */
export interface ScaledPlan {
  /** Σ of every row, `[N]`. */
  rowSums(): Float64Array;
  /**
   * Bring rows to their marginal.
   *
   * @param sums What `rowSums()` says.
   * @returns The sums as counted, `[N]`.
   */
  scaleRows(sums: Float64Array): Float64Array;
  /** Bring columns to their marginal, or towards it. */
  scaleColumns(): void;
  /** The plan, `[N, M]`. */
  cells(): Float64Array;
}

/** A plan as it is, exp(−λC) / Σ at first, with sums in numpy's order. */
export class PrimalPlan implements ScaledPlan {
  readonly #p: Float64Array;
  readonly #settings: PlanSettings;
  readonly #factors: Float64Array;

  /**
   * Start.
   *
   * @param cost Cost matrix C, `[N, M]`.
   * @param lambda Inverse regularization λ.
   * @param settings Marginals, floor and exponent.
   */
  constructor(
    cost: ArrayLike<number>,
    lambda: number,
    settings: PlanSettings,
  ) {
    // Costs are few integers.
    const known = new Map<number, number>();
    const p = Float64Array.from(cost, (c) => {
      const value = known.get(c) ?? numpyExp(-lambda * c);
      known.set(c, value);
      return value;
    });
    const total = numpySum(p);
    this.#p = p.map((value) => value / total);
    this.#settings = settings;
    this.#factors = new Float64Array(settings.b.length).fill(1);
  }

  rowSums(): Float64Array {
    const m = this.#settings.b.length;
    return this.#settings.a.map((_, i) => numpySum(this.#p, i * m, i * m + m));
  }

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

/** The same plan as logarithms, which do not underflow. */
export class LogPlan implements ScaledPlan {
  readonly #logs: Float64Array;
  readonly #settings: PlanSettings;
  readonly #factors: Float64Array;

  /**
   * Start.
   *
   * @param cost Cost matrix C, `[N, M]`.
   * @param lambda Inverse regularization λ.
   * @param settings Marginals, floor and exponent.
   */
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
      if (mass === 0) this.#logs.fill(-Infinity, i * m, i * m + m);
      if (mass === 0) return;
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
      const counted = Math.max(sum, Math.log(floor));
      // Nothing to scale, and 0 / 0.
      if (counted === -Infinity) return;
      const step = Math.log(mass) - counted;
      const whole = exponent * (step + this.#factors[j]!);
      const change = exponent === 1 ? step : whole - this.#factors[j]!;
      this.#factors[j] = exponent === 1 ? 0 : whole;
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
