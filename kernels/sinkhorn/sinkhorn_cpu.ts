/**
 * A marginal below this counts as 0: near it f32 runs out of precision, and a
 * GPU takes it for 0 anyway.
 */
export const LEAST_MASS = 1e-37;

/** A batch of B problems of one size, row-major; smaller ones are padded with zero marginals. */
export interface TransportProblems {
  /** Cost matrices C, `[B, rows, cols]`, ≥ 0, in edits; anything finite where a marginal is 0. */
  cost: Float32Array<ArrayBuffer>;
  /** Source marginals, `[B, rows]`, each summing to 1. */
  a: Float32Array<ArrayBuffer>;
  /** Target marginals, `[B, cols]`, each summing to 1; a column with b = 0 (below {@linkcode LEAST_MASS}) takes no mass. */
  b: Float32Array<ArrayBuffer>;
  /** Source points per problem. */
  rows: number;
  /** Target points per problem. */
  cols: number;
}

/** How to solve. */
export interface SinkhornOptions {
  /**
   * Strength ε of the entropic regularization, in the unit of the cost. Smaller
   * is sharper. Defaults to 1/30.
   */
  epsilon?: number;
  /**
   * Price τ of leaving the target marginal, in the unit of the cost. `Infinity`
   * is balanced transport, 0 the soft nearest neighbour. Defaults to 1/30.
   */
  tau?: number;
  /** Stop once the marginal error is at most this. Defaults to 1e-5. */
  threshold?: number;
  /** Most updates of both potentials. Defaults to 1000. */
  iterations?: number;
  /** Return the plans, too. Defaults to false. */
  plan?: boolean;
}

/** Solutions of a batch, and how good they are. */
export interface SinkhornOutput {
  /** What every target point receives, Pᵀ 1, `[B, cols]`. */
  columnSums: Float32Array;
  /** L1 distance of the row sums from `a` before the closing step, `[B]`. */
  marginalError: Float32Array;
  /** Updates of both potentials that were run, `[B]`. */
  iterations: Float32Array;
  /** Transport plans P, `[B, rows, cols]`, if asked for. */
  plan?: Float32Array;
}

/** The defaults of {@linkcode SinkhornOptions}. */
export const sinkhornDefaults: Required<SinkhornOptions> = {
  epsilon: 1 / 30,
  tau: 1 / 30,
  threshold: 1e-5,
  iterations: 1000,
  plan: false,
};

/**
 * Solve semi-relaxed entropic optimal transport in f64: the definition.
 *
 * Finds the P ≥ 0 that minimizes ⟨C, P⟩ − ε H(P) + τ KL(Pᵀ 1 ‖ b) subject to
 * P 1 = a, by alternating, in the log domain,
 *
 *     g = τ / (τ + ε) · ε (log b − LSE_i((f − C) / ε))
 *     f = ε (log a − LSE_j((g − C) / ε))
 *
 * from g = 0, closing with f, so that rows are exact even where the iteration
 * cap came first. A problem without any mass on one side has P = 0.
 *
 * @example The target prefers its second token; the source's mass stays put
 * ```ts
 * import assert from "node:assert/strict";
 * import { sinkhornCpu } from "#/kernels/sinkhorn/sinkhorn_cpu.ts";
 *
 * const { columnSums } = sinkhornCpu({
 *   cost: Float32Array.of(0, 1, 1, 0),
 *   a: Float32Array.of(0.75, 0.25),
 *   b: Float32Array.of(0.25, 0.75),
 *   rows: 2,
 *   cols: 2,
 * });
 * assert.equal(columnSums[0]!.toFixed(6), "0.750000");
 * ```
 *
 * @param problems The batch.
 * @param options See {@linkcode SinkhornOptions}.
 * @returns Column sums, marginal errors, iterations, and plans if asked for.
 * @throws {RangeError} If an array does not fit `rows` and `cols`, or an option
 * is out of its range.
 * @see Chizat et al. 2018, arXiv:1607.05816, Algorithm 1 with an exact first and
 * a KL second marginal.
 */
export function sinkhornCpu(
  problems: TransportProblems,
  options: SinkhornOptions = {},
): SinkhornOutput {
  const settings = { ...sinkhornDefaults, ...options };
  const batch = checkProblems(problems, settings);
  const output = emptyOutput(problems, batch, settings.plan);
  for (let problem = 0; problem < batch; problem++) {
    solveLogDomain(problems, problem, settings, output);
  }
  return output;
}

/**
 * Solve one problem of a batch by the definition.
 *
 * @param problems The batch.
 * @param problem Which one.
 * @param settings All options.
 * @param output Where to write.
 */
export function solveLogDomain(
  { cost, a, b, rows, cols }: TransportProblems,
  problem: number,
  settings: Required<SinkhornOptions>,
  output: SinkhornOutput,
): void {
  const { epsilon, threshold, iterations } = settings;
  const relaxation = relaxationOf(settings);
  const [row0, col0] = [problem * rows, problem * cols];
  const c = (i: number, j: number) => cost[row0 * cols + i * cols + j]!;
  const logA = Float64Array.from({ length: rows }, (_, i) => log(a[row0 + i]!));
  const logB = Float64Array.from({ length: cols }, (_, j) => log(b[col0 + j]!));
  const f = new Float64Array(rows);
  const g = logB.map((value) => value === -Infinity ? -Infinity : 0);

  const updateF = () => {
    let error = 0;
    for (let i = 0; i < rows; i++) {
      const lse = logSumExp(cols, (j) => (g[j]! - c(i, j)) / epsilon);
      const rowSum = Math.exp(f[i]! / epsilon + lse);
      error += Math.abs(rowSum - Math.exp(logA[i]!));
      f[i] = logA[i] === -Infinity ? -Infinity : epsilon * (logA[i]! - lse);
    }
    return error;
  };

  if (!logA.some(Number.isFinite) || !logB.some(Number.isFinite)) {
    output.marginalError[problem] = logA.reduce((s, x) => s + Math.exp(x), 0);
    return;
  }
  updateF();
  let iteration = 0;
  let error = Infinity;
  while (iteration < iterations && error > threshold) {
    for (let j = 0; j < cols; j++) {
      if (logB[j] === -Infinity) continue;
      const lse = logSumExp(rows, (i) => (f[i]! - c(i, j)) / epsilon);
      g[j] = relaxation === 0 ? 0 : relaxation * epsilon * (logB[j]! - lse);
    }
    error = updateF();
    iteration++;
  }

  output.marginalError[problem] = error;
  output.iterations[problem] = iteration;
  const sums = new Float64Array(cols);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) {
      const p = Math.exp((f[i]! + g[j]! - c(i, j)) / epsilon);
      sums[j]! += p;
      if (output.plan) output.plan[(row0 + i) * cols + j] = p;
    }
  }
  output.columnSums.set(sums, col0);
}

/**
 * The exponent τ / (τ + ε) of the relaxed update, 1 where τ is infinite.
 *
 * @param settings ε and τ.
 * @returns A number in [0, 1].
 */
export function relaxationOf(
  { epsilon, tau }: { epsilon: number; tau: number },
): number {
  return tau === Infinity ? 1 : tau / (tau + epsilon);
}

/**
 * Outputs to be filled in.
 *
 * @param problems The batch.
 * @param batch How many problems it holds.
 * @param plan Whether plans are asked for.
 * @returns Arrays of zeros.
 */
export function emptyOutput(
  { a, b, cost }: TransportProblems,
  batch: number,
  plan: boolean,
): SinkhornOutput {
  return {
    columnSums: new Float32Array(b.length),
    marginalError: new Float32Array(a.length && batch),
    iterations: new Float32Array(batch),
    ...(plan ? { plan: new Float32Array(cost.length) } : {}),
  };
}

/**
 * Check a batch and the options.
 *
 * @param problems The batch.
 * @param settings All options.
 * @returns How many problems there are.
 * @throws {RangeError} If something does not fit.
 */
export function checkProblems(
  { cost, a, b, rows, cols }: TransportProblems,
  { epsilon, tau, threshold, iterations }: Required<SinkhornOptions>,
): number {
  const batch = a.length / rows;
  const action = "Cannot solve transport problems";
  if (!Number.isInteger(batch) || b.length !== batch * cols) {
    throw new RangeError(
      `${action}: a has ${a.length} and b ${b.length} entries, expected a ` +
        `multiple of rows ${rows} and the same multiple of cols ${cols}`,
    );
  }
  if (cost.length !== batch * rows * cols) {
    throw new RangeError(
      `${action}: cost has ${cost.length} entries, expected ` +
        `[${batch}, ${rows}, ${cols}]`,
    );
  }
  if (!(epsilon > 0 && epsilon < Infinity)) {
    throw new RangeError(
      `${action}: epsilon is ${epsilon}, expected a positive number`,
    );
  }
  if (!(tau >= 0)) {
    throw new RangeError(`${action}: tau is ${tau}, expected at least 0`);
  }
  if (!(threshold >= 0)) {
    throw new RangeError(
      `${action}: threshold is ${threshold}, expected at least 0`,
    );
  }
  if (!(Number.isInteger(iterations) && iterations > 0)) {
    throw new RangeError(
      `${action}: iterations is ${iterations}, expected a positive integer`,
    );
  }
  return batch;
}

function log(mass: number): number {
  return mass >= LEAST_MASS ? Math.log(mass) : -Infinity;
}

function logSumExp(length: number, term: (k: number) => number): number {
  let top = -Infinity;
  for (let k = 0; k < length; k++) top = Math.max(top, term(k));
  if (top === -Infinity) return top;
  let sum = 0;
  for (let k = 0; k < length; k++) sum += Math.exp(term(k) - top);
  return top + Math.log(sum);
}
