import {
  checkProblems,
  emptyOutput,
  LEAST_MASS,
  relaxationOf,
  sinkhornDefaults,
  type SinkhornOptions,
  type SinkhornOutput,
  solveLogDomain,
  type TransportProblems,
} from "#/kernels/sinkhorn/sinkhorn_cpu.ts";
import { ScalingWorkspace } from "#/kernels/sinkhorn/scaling_workspace.ts";
import { solveBalanced } from "#/kernels/sinkhorn/sinkhorn_balanced.ts";

/**
 * Solve semi-relaxed entropic optimal transport fast on the CPU, in f64.
 *
 * The iteration of {@linkcode sinkhornCpu} on u = exp(f / ε) and v = exp(g / ε):
 * multiplications instead of exponentials. Each row of C is taken relative to
 * its minimum, which f64 then holds for any tokens; a problem whose scalings
 * leave f64's range all the same is solved in the log domain.
 *
 * Where the target marginal is relaxed by τ ≤ ε, cells far above a row's minimum hold
 * nothing: with K = exp(−C / ε) and ρ = τ / (τ + ε), v_j ≤ (b_j / (K_ij u_i))^ρ
 * makes P_ij ≤ (K_ij u_i)^(1 − ρ) b_j^ρ. Cells with K^(1 − ρ) below 1e-18, most
 * of them if costs are sharp, are left out; where u shows that one could hold
 * more than 1e-10 all the same, the log domain takes over. Balanced problems
 * leave nothing out and are solved two at a time with WebAssembly SIMD.
 *
 * @param problems The batch.
 * @param options See {@linkcode SinkhornOptions}.
 * @returns What {@linkcode sinkhornCpu} returns, up to f64 rounding and what
 * was left out.
 * @throws {RangeError} If an array does not fit `rows` and `cols`, or an option
 * is out of its range.
 */
export function sinkhornScaling(
  problems: TransportProblems,
  options: SinkhornOptions = {},
): SinkhornOutput {
  const settings = { ...sinkhornDefaults, ...options };
  const batch = checkProblems(problems, settings);
  const output = emptyOutput(problems, batch, settings.plan);
  if (relaxationOf(settings) === 1) {
    solveBalanced(problems, settings, output);
    return output;
  }
  const space = new Batch(problems, settings);
  for (let problem = 0; problem < batch; problem++) {
    if (space.solve(problem)) space.store(problem, output);
    else solveLogDomain(problems, problem, settings, output);
  }
  return output;
}

/** The problems of a batch, one after another. */
class Batch {
  readonly #problems: TransportProblems;
  readonly #space: ScalingWorkspace;
  readonly #rowIndex: Int32Array;
  readonly #colIndex: Int32Array;
  readonly #a: Float64Array;
  readonly #b: Float64Array;
  /** Of one row: what columns with mass cost; of all: what they receive. */
  readonly #line: Float64Array;
  #m = 0;

  constructor(
    problems: TransportProblems,
    settings: Required<SinkhornOptions>,
  ) {
    const { rows, cols } = problems;
    this.#problems = problems;
    this.#space = new ScalingWorkspace(rows, cols, settings);
    this.#rowIndex = new Int32Array(rows);
    this.#colIndex = new Int32Array(cols);
    this.#a = new Float64Array(rows);
    this.#b = new Float64Array(cols);
    this.#line = new Float64Array(cols);
  }

  /** False if the problem needs the log domain. */
  solve(problem: number): boolean {
    const { cost, a, b, rows, cols } = this.#problems;
    const n = compact(a, problem * rows, rows, this.#rowIndex, this.#a);
    this.#m = compact(b, problem * cols, cols, this.#colIndex, this.#b);
    this.#space.begin(this.#b, this.#m);
    for (let i = 0; i < n; i++) {
      const row0 = (problem * rows + this.#rowIndex[i]!) * cols;
      for (let j = 0; j < this.#m; j++) {
        this.#line[j] = cost[row0 + this.#colIndex[j]!]!;
      }
      this.#space.addRow(this.#a[i]!, this.#line);
    }
    return this.#space.solve();
  }

  store(problem: number, output: SinkhornOutput): void {
    const { rows, cols } = this.#problems;
    output.marginalError[problem] = this.#space.error;
    output.iterations[problem] = this.#space.iterations;
    this.#space.columnSums(this.#line);
    for (let j = 0; j < this.#m; j++) {
      output.columnSums[problem * cols + this.#colIndex[j]!] = this.#line[j]!;
    }
    const { plan } = output;
    if (!plan) return;
    this.#space.eachCell((i, j, mass) => {
      const row = problem * rows + this.#rowIndex[i]!;
      plan[row * cols + this.#colIndex[j]!] = mass;
    });
  }
}

/** Copy the entries of one marginal that have mass; how many there are. */
function compact(
  marginal: Float32Array,
  first: number,
  length: number,
  index: Int32Array,
  into: Float64Array,
): number {
  let count = 0;
  for (let k = 0; k < length; k++) {
    const mass = marginal[first + k]!;
    if (!(mass >= LEAST_MASS)) continue;
    index[count] = k;
    into[count++] = mass;
  }
  return count;
}
