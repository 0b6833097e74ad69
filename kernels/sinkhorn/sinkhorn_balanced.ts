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
  readonly #powers: number[];

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
    this.#powers = Array.from(
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
    this.#rows.forEach((row, i) => {
      pair.a[2 * i + lane] = a[problem * rows + row]!;
      this.#loadRow(row, i);
    });
    this.#cols.forEach((col, j) => {
      pair.b[2 * j + lane] = b[problem * cols + col]!;
      pair.v[2 * j + lane] = 1;
    });
    return this.#startRows();
  }

  /** Hold a problem of 1 × 1 that goes on for ever. */
  idle(): void {
    const { threshold, a, b, u, v, least, largest } = this.#pair;
    const lane = this.#lane;
    this.problem = -1;
    this.#pad();
    for (const array of [a, b, u, v, least, largest]) array[lane] = 1;
    threshold[lane] = NEVER;
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
    const { kernel, u, v, error, cols: stride } = this.#pair;
    const lane = this.#lane;
    output.marginalError[this.problem] = error[lane]!;
    output.iterations[this.problem] = this.#settings.iterations -
      this.iterationsLeft;
    this.#cols.forEach((col, j) => {
      let sum = 0;
      for (let i = 0; i < this.#rows.length; i++) {
        const cell = 2 * (i * stride + j) + lane;
        const scaled = kernel[cell]! * u[2 * i + lane]!;
        sum += scaled;
        if (!output.plan) continue;
        const row = this.problem * rows + this.#rows[i]!;
        output.plan[row * cols + col] = u[2 * i + lane]! * kernel[cell]! *
          v[2 * j + lane]!;
      }
      output.columnSums[this.problem * cols + col] = sum * v[2 * j + lane]!;
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
    for (let cell = lane; cell < kernel.length; cell += 2) kernel[cell] = 0;
    for (let j = 0; j < cols; j++) {
      kernel[2 * j + lane] = 1;
      b[2 * j + lane] = v[2 * j + lane] = 0;
    }
    for (let i = 0; i < rows; i++) {
      kernel[2 * i * cols + lane] = 1;
      a[2 * i + lane] = u[2 * i + lane] = 0;
    }
  }

  /** K of a row, relative to its least cost. */
  #loadRow(row: number, i: number): void {
    const { cost, rows, cols } = this.#problems;
    const { kernel, cols: stride } = this.#pair;
    const from = (this.problem * rows + row) * cols;
    let least = Infinity;
    for (const col of this.#cols) least = Math.min(least, cost[from + col]!);
    for (let j = 0; j < this.#cols.length; j++) {
      const above = cost[from + this.#cols[j]!]! - least;
      kernel[2 * (i * stride + j) + this.#lane] = this.#powers[above] ??
        Math.exp(-above / this.#settings.epsilon);
    }
  }

  /** u from v = 1; false if a sum is out of range. */
  #startRows(): boolean {
    const { kernel, a, u, cols: stride } = this.#pair;
    for (let i = 0; i < this.#rows.length; i++) {
      let sum = 0;
      for (let j = 0; j < this.#cols.length; j++) {
        sum += kernel[2 * (i * stride + j) + this.#lane]!;
      }
      if (!(sum > 1 / RANGE && sum < RANGE)) return false;
      u[2 * i + this.#lane] = a[2 * i + this.#lane]! / sum;
    }
    return true;
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
