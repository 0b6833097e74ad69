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
import {
  LOST,
  solveBalanced,
  SUBNORMAL,
} from "#/kernels/sinkhorn/sinkhorn_balanced.ts";
import { RANGE } from "#/kernels/sinkhorn/sinkhorn_pair.ts";

/** Cells whose K^(1 − ρ) is below this are left out. */
const NEGLIGIBLE = 1e-18;

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
  const space = new Workspace(problems, settings);
  for (let problem = 0; problem < batch; problem++) {
    space.load(problem);
    if (space.solve()) space.store(problem, output);
    else solveLogDomain(problems, problem, settings, output);
  }
  return output;
}

/** One problem as a sparse matrix, reused from problem to problem. */
class Workspace {
  readonly #problems: TransportProblems;
  readonly #settings: Required<SinkhornOptions>;
  readonly #relaxation: number;
  /** Costs above the row's minimum by more than this are left out. */
  readonly #reach: number;
  readonly #rowIndex: Int32Array;
  readonly #colIndex: Int32Array;
  readonly #a: Float64Array;
  readonly #b: Float64Array;
  readonly #u: Float64Array;
  readonly #v: Float64Array;
  /** What the columns gather, Kᵀ u. */
  readonly #gathered: Float64Array;
  /** Where each row's cells begin, and their columns and values of K. */
  readonly #starts: Int32Array;
  readonly #cells: Int32Array;
  readonly #kernel: Float64Array;
  #n = 0;
  #m = 0;
  #error = 0;
  #iterations = 0;

  constructor(
    problems: TransportProblems,
    settings: Required<SinkhornOptions>,
  ) {
    const { rows, cols } = problems;
    this.#problems = problems;
    this.#settings = settings;
    this.#relaxation = relaxationOf(settings);
    this.#reach = this.#relaxation <= 0.5
      ? -Math.log(NEGLIGIBLE) * settings.epsilon / (1 - this.#relaxation)
      : Infinity;
    this.#rowIndex = new Int32Array(rows);
    this.#colIndex = new Int32Array(cols);
    this.#a = new Float64Array(rows);
    this.#b = new Float64Array(cols);
    this.#u = new Float64Array(rows);
    this.#v = new Float64Array(cols);
    this.#gathered = new Float64Array(cols);
    this.#starts = new Int32Array(rows + 1);
    this.#cells = new Int32Array(rows * cols);
    this.#kernel = new Float64Array(rows * cols);
  }

  load(problem: number): void {
    const { cost, a, b, rows, cols } = this.#problems;
    const [cells, kernel] = [this.#cells, this.#kernel];
    const { epsilon } = this.#settings;
    this.#n = compact(a, problem * rows, rows, this.#rowIndex, this.#a);
    this.#m = compact(b, problem * cols, cols, this.#colIndex, this.#b);
    let end = 0;
    for (let i = 0; i < this.#n; i++) {
      const row0 = (problem * rows + this.#rowIndex[i]!) * cols;
      let least = Infinity;
      for (let j = 0; j < this.#m; j++) {
        const c = cost[row0 + this.#colIndex[j]!]!;
        if (c < least) least = c;
      }
      for (let j = 0; j < this.#m; j++) {
        const above = cost[row0 + this.#colIndex[j]!]! - least;
        if (above > this.#reach) continue;
        cells[end] = j;
        kernel[end++] = above === 0 ? 1 : Math.exp(-above / epsilon);
      }
      this.#starts[i + 1] = end;
    }
  }

  /** False if the problem needs the log domain. */
  solve(): boolean {
    const { iterations, threshold } = this.#settings;
    if (this.#n === 0 || this.#m === 0) return false;
    this.#v.fill(1);
    this.#u.fill(0);
    this.#updateU();
    this.#iterations = 0;
    do {
      if (!this.#updateV() || !this.#updateU()) return false;
      this.#iterations++;
    } while (this.#iterations < iterations && this.#error > threshold);
    return this.#isComplete();
  }

  /** Whether no cell that is left out, or below f64's range, holds mass. */
  #isComplete(): boolean {
    let u = 0;
    let v = 0;
    for (let i = 0; i < this.#n; i++) u = Math.max(u, this.#u[i]!);
    for (let j = 0; j < this.#m; j++) v = Math.max(v, this.#v[j]!);
    if (this.#reach === Infinity) return u * v * SUBNORMAL < LOST;
    return NEGLIGIBLE * u ** (1 - this.#relaxation) < LOST;
  }

  #updateU(): boolean {
    const [cells, kernel, v] = [this.#cells, this.#kernel, this.#v];
    let error = 0;
    let cell = 0;
    for (let i = 0; i < this.#n; i++) {
      const end = this.#starts[i + 1]!;
      let sum = 0;
      for (; cell < end; cell++) sum += kernel[cell]! * v[cells[cell]!]!;
      if (!(sum > 1 / RANGE && sum < RANGE)) return false;
      const mass = this.#a[i]!;
      error += Math.abs(this.#u[i]! * sum - mass);
      this.#u[i] = mass / sum;
    }
    this.#error = error;
    return true;
  }

  #updateV(): boolean {
    const [relaxation, gathered] = [this.#relaxation, this.#gathered];
    if (relaxation === 0) return true;
    this.#gather();
    for (let j = 0; j < this.#m; j++) {
      const sum = gathered[j]!;
      // No row reaches this column: its v would multiply nothing.
      if (sum === 0 && this.#reach < Infinity) continue;
      if (!(sum > 1 / RANGE && sum < RANGE)) return false;
      const ratio = this.#b[j]! / sum;
      this.#v[j] = relaxation === 0.5
        ? Math.sqrt(ratio)
        : Math.pow(ratio, relaxation);
    }
    return true;
  }

  #gather(): void {
    const [cells, kernel, gathered] = [
      this.#cells,
      this.#kernel,
      this.#gathered,
    ];
    gathered.fill(0, 0, this.#m);
    let cell = 0;
    for (let i = 0; i < this.#n; i++) {
      const end = this.#starts[i + 1]!;
      const scale = this.#u[i]!;
      for (; cell < end; cell++) {
        gathered[cells[cell]!]! += kernel[cell]! * scale;
      }
    }
  }

  store(problem: number, output: SinkhornOutput): void {
    const { rows, cols } = this.#problems;
    output.marginalError[problem] = this.#error;
    output.iterations[problem] = this.#iterations;
    this.#gather();
    for (let j = 0; j < this.#m; j++) {
      output.columnSums[problem * cols + this.#colIndex[j]!] =
        this.#gathered[j]! * this.#v[j]!;
    }
    if (!output.plan) return;
    let cell = 0;
    for (let i = 0; i < this.#n; i++) {
      const row = problem * rows + this.#rowIndex[i]!;
      for (; cell < this.#starts[i + 1]!; cell++) {
        const j = this.#cells[cell]!;
        output.plan[row * cols + this.#colIndex[j]!] = this.#u[i]! *
          this.#kernel[cell]! * this.#v[j]!;
      }
    }
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
