import {
  checkProblems,
  emptyOutput,
  relaxationOf,
  sinkhornDefaults,
  type SinkhornOptions,
  type SinkhornOutput,
  solveLogDomain,
  type TransportProblems,
} from "#/kernels/sinkhorn/sinkhorn_cpu.ts";

/** Scalings outside of [1 / RANGE, RANGE] are left to the log domain. */
const RANGE = 1e250;

/**
 * Solve semi-relaxed entropic optimal transport fast on the CPU, in f64.
 *
 * The iteration of {@linkcode sinkhornCpu} on u = exp(f / ε) and v = exp(g / ε):
 * multiplications instead of exponentials. Each row of C is taken relative to
 * its minimum, which f64 then holds for any tokens; a problem whose scalings
 * leave f64's range all the same is solved in the log domain.
 *
 * @param problems The batch.
 * @param options See {@linkcode SinkhornOptions}.
 * @returns What {@linkcode sinkhornCpu} returns, up to f64 rounding.
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
  const space = new Workspace(problems.rows, problems.cols);
  for (let problem = 0; problem < batch; problem++) {
    space.load(problems, problem, settings.epsilon);
    const solved = space.solve(settings);
    if (solved) space.store(problems, problem, output);
    else solveLogDomain(problems, problem, settings, output);
  }
  return output;
}

/** One problem without its padding, reused from problem to problem. */
class Workspace {
  readonly #rowIndex: Int32Array;
  readonly #colIndex: Int32Array;
  readonly #a: Float64Array;
  readonly #b: Float64Array;
  readonly #u: Float64Array;
  readonly #v: Float64Array;
  /** What the columns gather, Kᵀ u. */
  readonly #gathered: Float64Array;
  /** exp(−C / ε), `[n, m]`. */
  readonly #kernel: Float64Array;
  #n = 0;
  #m = 0;
  #error = 0;
  #iterations = 0;

  constructor(rows: number, cols: number) {
    this.#rowIndex = new Int32Array(rows);
    this.#colIndex = new Int32Array(cols);
    this.#a = new Float64Array(rows);
    this.#b = new Float64Array(cols);
    this.#u = new Float64Array(rows);
    this.#v = new Float64Array(cols);
    this.#gathered = new Float64Array(cols);
    this.#kernel = new Float64Array(rows * cols);
  }

  load(problems: TransportProblems, problem: number, epsilon: number): void {
    const { cost, a, b, rows, cols } = problems;
    this.#n = compact(a, problem * rows, rows, this.#rowIndex, this.#a);
    this.#m = compact(b, problem * cols, cols, this.#colIndex, this.#b);
    const m = this.#m;
    const kernel = this.#kernel;
    for (let i = 0; i < this.#n; i++) {
      const row0 = (problem * rows + this.#rowIndex[i]!) * cols;
      let least = Infinity;
      for (let j = 0; j < m; j++) {
        const c = cost[row0 + this.#colIndex[j]!]!;
        if (c < least) least = c;
      }
      for (let j = 0; j < m; j++) {
        const c = cost[row0 + this.#colIndex[j]!]!;
        kernel[i * m + j] = c === least ? 1 : Math.exp((least - c) / epsilon);
      }
    }
  }

  /** False if the problem needs the log domain. */
  solve(settings: Required<SinkhornOptions>): boolean {
    const relaxation = relaxationOf(settings);
    if (this.#n === 0 || this.#m === 0) return false;
    this.#v.fill(1);
    this.#u.fill(0);
    this.#updateU();
    this.#iterations = 0;
    do {
      if (!this.#updateV(relaxation) || !this.#updateU()) return false;
      this.#iterations++;
    } while (
      this.#iterations < settings.iterations &&
      this.#error > settings.threshold
    );
    return true;
  }

  #updateU(): boolean {
    const [n, m, kernel, v] = [this.#n, this.#m, this.#kernel, this.#v];
    this.#error = 0;
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < m; j++) sum += kernel[i * m + j]! * v[j]!;
      if (!(sum > 1 / RANGE && sum < RANGE)) return false;
      this.#error += Math.abs(this.#u[i]! * sum - this.#a[i]!);
      this.#u[i] = this.#a[i]! / sum;
    }
    return true;
  }

  #updateV(relaxation: number): boolean {
    const [m, b, v] = [this.#m, this.#b, this.#v];
    if (relaxation === 0) return true;
    this.#gather();
    for (let j = 0; j < m; j++) {
      const sum = this.#gathered[j]!;
      if (!(sum > 1 / RANGE && sum < RANGE)) return false;
      const ratio = b[j]! / sum;
      v[j] = relaxation === 1
        ? ratio
        : relaxation === 0.5
        ? Math.sqrt(ratio)
        : Math.pow(ratio, relaxation);
    }
    return true;
  }

  #gather(): void {
    const [n, m, kernel, gathered] = [
      this.#n,
      this.#m,
      this.#kernel,
      this.#gathered,
    ];
    gathered.fill(0, 0, m);
    for (let i = 0; i < n; i++) {
      const scale = this.#u[i]!;
      for (let j = 0; j < m; j++) gathered[j]! += kernel[i * m + j]! * scale;
    }
  }

  store(
    { rows, cols }: TransportProblems,
    problem: number,
    output: SinkhornOutput,
  ): void {
    output.marginalError[problem] = this.#error;
    output.iterations[problem] = this.#iterations;
    this.#gather();
    for (let j = 0; j < this.#m; j++) {
      const column = this.#colIndex[j]!;
      output.columnSums[problem * cols + column] = this.#gathered[j]! *
        this.#v[j]!;
      if (!output.plan) continue;
      for (let i = 0; i < this.#n; i++) {
        const row = problem * rows + this.#rowIndex[i]!;
        output.plan[row * cols + column] = this.#u[i]! * this.#v[j]! *
          this.#kernel[i * this.#m + j]!;
      }
    }
  }
}

/** Copy the positive entries of one marginal; how many there are. */
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
    if (!(mass > 0)) continue;
    index[count] = k;
    into[count++] = mass;
  }
  return count;
}
