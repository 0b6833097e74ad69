import {
  ScalingWorkspace,
  sinkhornCpu,
  sinkhornDefaults,
} from "#/kernels/mod.ts";
import { MassTable } from "./mass_table.ts";
import type { Masses, Pair, SolvePairs, TransportOptions } from "./method.ts";
import { PairProblem } from "./pair_problem.ts";

/**
 * Transport pair by pair in memory that stays, told no more costs than matter.
 *
 * @param options How to transport; `solve` is not heeded.
 * @returns What rewrites pairs so.
 */
export function transportSparse(options: TransportOptions): SolvePairs {
  const transport = new SparseTransport(options);
  return (pairs, tell) => {
    for (const pair of pairs) tell(pair, transport.solve(pair));
  };
}

class SparseTransport {
  readonly #options: TransportOptions;
  readonly #problem: PairProblem;
  readonly #result: MassTable = new MassTable();
  #rows = 0;
  #cols = 0;
  #space: ScalingWorkspace;
  /** What a row's columns cost. */
  #line = new Float32Array(0);

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#problem = new PairProblem(options.vocabSize);
    this.#space = this.#makeSpace();
  }

  solve(pair: Pair): Masses {
    const { rows, columns } = this.#problem;
    this.#problem.load(pair);
    this.#reserve();
    const { mass } = this.#problem;
    const result = this.#result;
    result.clear();
    for (let j = 0; j < columns.length; j++) result.push(columns.ids[j]!, 0);
    if (rows.length === 0) return result;
    const { relation } = pair;
    const { reach } = this.#space;
    relation.select(columns.ids, columns.length);
    this.#space.begin(columns.masses, columns.length);
    for (let i = 0; i < rows.length; i++) {
      relation.row(rows.ids[i]!, this.#line, 0, reach);
      this.#space.addRow(rows.masses[i]! / mass, this.#line);
    }
    this.#space.guess();
    if (this.#space.solve()) {
      this.#space.columnSums(result.masses);
      result.marginalError = this.#space.error;
    } else this.#solveInLogDomain(pair);
    // Sums that differ by the order of their terms only are to be ties.
    for (let j = 0; j < columns.length; j++) {
      result.masses[j] = mass * Math.fround(result.masses[j]!);
    }
    return result;
  }

  /** Where scalings leave the range of f64: rare, and slow. */
  #solveInLogDomain({ relation }: Pair): void {
    const { rows, columns, mass } = this.#problem;
    const [n, m] = [rows.length, columns.length];
    const cost = new Float32Array(n * m);
    for (let i = 0; i < n; i++) {
      relation.row(rows.ids[i]!, cost, i * m, Infinity);
    }
    const { columnSums, marginalError } = sinkhornCpu({
      cost,
      a: Float32Array.from(rows.masses.subarray(0, n), (p) => p / mass),
      b: Float32Array.from(columns.masses.subarray(0, m)),
      rows: n,
      cols: m,
    }, this.#options.sinkhorn);
    this.#result.masses.set(columnSums);
    this.#result.marginalError = marginalError[0]!;
  }

  #reserve(): void {
    const { rows, columns } = this.#problem;
    if (rows.length <= this.#rows && columns.length <= this.#cols) return;
    this.#rows = Math.max(this.#rows, 2 * rows.length);
    this.#cols = Math.max(this.#cols, 2 * columns.length);
    this.#line = new Float32Array(this.#cols);
    this.#space = this.#makeSpace();
  }

  #makeSpace(): ScalingWorkspace {
    const settings = { ...sinkhornDefaults, ...this.#options.sinkhorn };
    return new ScalingWorkspace(this.#rows, this.#cols, settings);
  }
}
