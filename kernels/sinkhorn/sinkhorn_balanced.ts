import {
  LEAST_MASS,
  type SinkhornOptions,
  type SinkhornOutput,
  solveLogDomain,
  type TransportProblems,
} from "#/kernels/sinkhorn/sinkhorn_cpu.ts";
import {
  RANGE,
  type SinkhornPair,
  sinkhornPair,
} from "#/kernels/sinkhorn/sinkhorn_pair.ts";

/** K is inexact below this, and 0 in the end. */
export const SUBNORMAL = 1e-300;

/** What cells that are 0 in K may hold of the plan. */
export const LOST = 1e-10;

/** No error is as small: an idle lane ends nothing. */
const NEVER = -1;

/**
 * Solve balanced problems in f64, two at a time with WebAssembly SIMD, in the
 * linear domain; one whose scalings leave f64's range in the log domain.
 *
 * Each problem has a lane of its own, and the next takes its place once it has
 * converged.
 *
 * @param problems The batch.
 * @param settings All options; `tau` is taken for infinite.
 * @param output Where to write.
 */
export function solveBalanced(
  problems: TransportProblems,
  settings: Required<SinkhornOptions>,
  output: SinkhornOutput,
): void {
  const batch = output.marginalError.length;
  const pair = sinkhornPair(problems.rows, problems.cols);
  const lanes = [0, 1].map((lane) => new Lane(pair, lane, problems, settings));
  let next = 0;
  const refill = (lane: Lane) => {
    while (next < batch) {
      if (lane.load(next++)) return;
      solveLogDomain(problems, next - 1, settings, output);
    }
    lane.idle();
  };
  lanes.forEach(refill);
  for (;;) {
    const busy = lanes.filter(({ problem }) => problem >= 0);
    if (busy.length === 0) return;
    const left = Math.min(...busy.map((lane) => lane.iterationsLeft));
    const done = pair.iterate(left);
    for (const lane of busy) {
      lane.iterationsLeft -= done;
      if (!lane.isOver()) continue;
      if (lane.isExact()) lane.store(output);
      else solveLogDomain(problems, lane.problem, settings, output);
      refill(lane);
    }
  }
}

/** One lane of a pair, and the problem in it. */
class Lane {
  /** Which problem; −1 where there is none. */
  problem = -1;
  iterationsLeft = 0;
  readonly #pair: SinkhornPair;
  readonly #lane: number;
  readonly #problems: TransportProblems;
  readonly #settings: Required<SinkhornOptions>;
  /** Rows and columns that have mass. */
  readonly #rows: number[] = [];
  readonly #cols: number[] = [];
  /** exp(−C / ε) of whole numbers C. */
  readonly #powers: Float64Array;

  constructor(
    pair: SinkhornPair,
    lane: number,
    problems: TransportProblems,
    settings: Required<SinkhornOptions>,
  ) {
    this.#pair = pair;
    this.#lane = lane;
    this.#problems = problems;
    this.#settings = settings;
    this.#powers = Float64Array.from(
      { length: 64 },
      (_, cost) => Math.exp(-cost / settings.epsilon),
    );
  }

  /** Take a problem in; false if it needs the log domain. */
  load(problem: number): boolean {
    const { a, b, rows, cols } = this.#problems;
    const { threshold, iterations } = this.#settings;
    const pair = this.#pair;
    const lane = this.#lane;
    this.problem = problem;
    this.iterationsLeft = iterations;
    present(a, problem * rows, rows, this.#rows);
    present(b, problem * cols, cols, this.#cols);
    if (this.#rows.length === 0 || this.#cols.length === 0) return false;
    pair.threshold[lane] = threshold;
    pair.least[lane] = pair.largest[lane] = 1;
    this.#pad();
    for (let i = 0; i < this.#rows.length; i++) {
      pair.a[2 * i + lane] = a[problem * rows + this.#rows[i]!]!;
      this.#loadRow(this.#rows[i]!, i);
    }
    for (let j = 0; j < this.#cols.length; j++) {
      pair.b[2 * j + lane] = b[problem * cols + this.#cols[j]!]!;
      pair.v[2 * j + lane] = 1;
    }
    return this.#startRows();
  }

  /** Hold a problem of 1 × 1 that goes on for ever. */
  idle(): void {
    const { threshold, a, b, u, v, least, largest } = this.#pair;
    const lane = this.#lane;
    this.problem = -1;
    this.#rows.length = this.#cols.length = 0;
    this.#pad();
    for (const array of [a, b, u, v, least, largest]) array[lane] = 1;
    threshold[lane] = NEVER;
    this.#gather();
  }

  isOver(): boolean {
    const { error, threshold } = this.#pair;
    const lane = this.#lane;
    return this.iterationsLeft === 0 || error[lane]! <= threshold[lane]! ||
      !this.#isInRange();
  }

  /** Whether no sum and no cell has left f64's range where it matters. */
  isExact(): boolean {
    const { u, v } = this.#pair;
    let [most, mostV] = [0, 0];
    for (let i = this.#lane; i < u.length; i += 2) most = Math.max(most, u[i]!);
    for (let j = this.#lane; j < v.length; j += 2) {
      mostV = Math.max(mostV, v[j]!);
    }
    return this.#isInRange() && most * mostV * SUBNORMAL < LOST;
  }

  store(output: SinkhornOutput): void {
    const { rows, cols } = this.#problems;
    const { kernel, u, v, gathered, error, cols: stride } = this.#pair;
    const lane = this.#lane;
    output.marginalError[this.problem] = error[lane]!;
    output.iterations[this.problem] = this.#settings.iterations -
      this.iterationsLeft;
    for (let j = 0; j < this.#cols.length; j++) {
      output.columnSums[this.problem * cols + this.#cols[j]!] =
        gathered[2 * j + lane]! * v[2 * j + lane]!;
    }
    if (!output.plan) return;
    this.#rows.forEach((row, i) => {
      const from = (this.problem * rows + row) * cols;
      this.#cols.forEach((col, j) => {
        output.plan![from + col] = u[2 * i + lane]! *
          kernel[2 * (i * stride + j) + lane]! * v[2 * j + lane]!;
      });
    });
  }

  #isInRange(): boolean {
    const { least, largest } = this.#pair;
    return least[this.#lane]! > 1 / RANGE && largest[this.#lane]! < RANGE;
  }

  /**
   * Rows and columns without mass: u and v are 0, and one cell of each is 1, so
   * that no sum is.
   */
  #pad(): void {
    const { kernel, a, b, u, v, rows, cols } = this.#pair;
    const lane = this.#lane;
    const [n, m] = [this.#rows.length, this.#cols.length];
    for (let j = m; j < cols; j++) {
      b[2 * j + lane] = v[2 * j + lane] = 0;
      for (let i = 0; i < n; i++) {
        kernel[2 * (i * cols + j) + lane] = i === 0 ? 1 : 0;
      }
    }
    for (let i = n; i < rows; i++) {
      a[2 * i + lane] = u[2 * i + lane] = 0;
      for (let j = 0; j < cols; j++) {
        kernel[2 * (i * cols + j) + lane] = i === 0 || j === 0 ? 1 : 0;
      }
    }
  }

  /** K of a row, relative to its least cost. */
  #loadRow(row: number, i: number): void {
    const { cost, rows, cols } = this.#problems;
    const { kernel, cols: stride } = this.#pair;
    const [columns, powers] = [this.#cols, this.#powers];
    const { epsilon } = this.#settings;
    const from = (this.problem * rows + row) * cols;
    let least = Infinity;
    for (let j = 0; j < columns.length; j++) {
      const c = cost[from + columns[j]!]!;
      if (c < least) least = c;
    }
    let cell = 2 * i * stride + this.#lane;
    for (let j = 0; j < columns.length; j++, cell += 2) {
      const above = cost[from + columns[j]!]! - least;
      const whole = above | 0;
      kernel[cell] = whole === above && whole < powers.length
        ? powers[whole]!
        : Math.exp(-above / epsilon);
    }
  }

  /** u from v = 1; false if a sum is out of range. */
  #startRows(): boolean {
    const { kernel, a, u, cols: stride } = this.#pair;
    const [lane, m] = [this.#lane, this.#cols.length];
    for (let i = 0; i < this.#rows.length; i++) {
      let sum = 0;
      let cell = 2 * i * stride + lane;
      for (let j = 0; j < m; j++, cell += 2) sum += kernel[cell]!;
      if (!(sum > 1 / RANGE && sum < RANGE)) return false;
      u[2 * i + lane] = a[2 * i + lane]! / sum;
    }
    this.#gather();
    return true;
  }

  /** Kᵀ u, in the order that the iteration has. */
  #gather(): void {
    const { kernel, u, gathered, rows, cols } = this.#pair;
    const lane = this.#lane;
    for (let j = 0; j < cols; j++) gathered[2 * j + lane] = 0;
    let cell = lane;
    for (let i = 0; i < rows; i++) {
      const scale = u[2 * i + lane]!;
      for (let j = lane; j < 2 * cols; j += 2, cell += 2) {
        gathered[j]! += kernel[cell]! * scale;
      }
    }
  }
}

/** The places of a marginal that have mass. */
function present(
  marginal: Float32Array,
  first: number,
  length: number,
  into: number[],
): void {
  into.length = 0;
  for (let k = 0; k < length; k++) {
    if (marginal[first + k]! >= LEAST_MASS) into.push(k);
  }
}
