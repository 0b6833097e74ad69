import {
  LEAST_MASS,
  relaxationOf,
  type SinkhornOptions,
} from "#/kernels/sinkhorn/sinkhorn_cpu.ts";
import { LOST, SUBNORMAL } from "#/kernels/sinkhorn/sinkhorn_balanced.ts";
import { RANGE } from "#/kernels/sinkhorn/sinkhorn_pair.ts";

/** Cells whose K^(1 − ρ) is below this are left out. */
const NEGLIGIBLE = 1e-18;

/** Costs of whole edits, from 0 on, whose exponential is computed once. */
const WHOLE = 64;

/**
 * One transport problem as a sparse matrix, solved by scaling in f64; its memory
 * serves one problem after another. See `sinkhornScaling()`.
 *
 * {@linkcode begin}, {@linkcode addRow} for every row, maybe {@linkcode guess},
 * {@linkcode solve}, then {@linkcode columnSums}.
 */
export class ScalingWorkspace {
  /** Costs above a row's minimum by more than this are left out. */
  readonly reach: number;
  /** L1 distance of the row sums from `a` before the last update. */
  error = 0;
  /** Updates of both scalings. */
  iterations = 0;
  readonly #settings: Required<SinkhornOptions>;
  readonly #relaxation: number;
  readonly #a: Float64Array;
  #b: ArrayLike<number> = [];
  readonly #u: Float64Array;
  readonly #v: Float64Array;
  /** What the columns gather, Kᵀ u. */
  readonly #gathered: Float64Array;
  /** Where each row's cells begin, and their columns and values of K. */
  readonly #starts: Int32Array;
  readonly #cells: Int32Array;
  readonly #kernel: Float64Array;
  /** exp(−k / ε). */
  readonly #whole: Float64Array;
  #n = 0;
  #m = 0;

  /**
   * Make room.
   *
   * @param rows Source points at most.
   * @param cols Target points at most.
   * @param settings All options; a plan is never kept.
   */
  constructor(
    rows: number,
    cols: number,
    settings: Required<SinkhornOptions>,
  ) {
    const { epsilon } = settings;
    this.#settings = settings;
    this.#relaxation = relaxationOf(settings);
    this.reach = this.#relaxation <= 0.5
      ? -Math.log(NEGLIGIBLE) * epsilon / (1 - this.#relaxation)
      : Infinity;
    this.#a = new Float64Array(rows);
    this.#u = new Float64Array(rows);
    this.#v = new Float64Array(cols);
    this.#gathered = new Float64Array(cols);
    this.#starts = new Int32Array(rows + 1);
    this.#cells = new Int32Array(rows * cols);
    this.#kernel = new Float64Array(rows * cols);
    this.#whole = Float64Array.from(
      { length: WHOLE },
      (_, edits) => Math.exp(-edits / epsilon),
    );
  }

  /**
   * Begin a problem without rows.
   *
   * @param b The target marginal, each at least `LEAST_MASS`; read until the
   * next problem.
   * @param cols How many of them count.
   */
  begin(b: ArrayLike<number>, cols: number): void {
    this.#b = b;
    this.#m = cols;
    this.#n = 0;
    for (let j = 0; j < cols; j++) this.#v[j] = 1;
  }

  /**
   * Add a row.
   *
   * @param mass Its source marginal; none if it is below `LEAST_MASS`.
   * @param costs What each column costs, relative to whatever. Entries further
   * than {@linkcode reach} above the least may be anything above that.
   */
  addRow(mass: number, costs: ArrayLike<number>): void {
    if (!(mass >= LEAST_MASS)) return;
    const [cells, kernel, whole] = [this.#cells, this.#kernel, this.#whole];
    const { epsilon } = this.#settings;
    let least = Infinity;
    for (let j = 0; j < this.#m; j++) {
      if (costs[j]! < least) least = costs[j]!;
    }
    let end = this.#starts[this.#n]!;
    for (let j = 0; j < this.#m; j++) {
      const above = costs[j]! - least;
      if (above > this.reach) continue;
      const edits = above | 0;
      cells[end] = j;
      kernel[end++] = edits === above && edits < WHOLE
        ? whole[edits]!
        : Math.exp(-above / epsilon);
    }
    this.#a[this.#n++] = mass;
    this.#starts[this.#n] = end;
  }

  /**
   * Begin near the solution where costs are sharp: all mass goes to the nearest
   * column, where u v = a and v = (b / u)^ρ give v = (b / a)^(τ / ε).
   */
  guess(): void {
    const { tau, epsilon } = this.#settings;
    if (!(tau > 0 && tau < Infinity)) return;
    const received = this.#gathered;
    for (let j = 0; j < this.#m; j++) received[j] = 0;
    for (let i = 0; i < this.#n; i++) {
      let nearest = this.#starts[i]!;
      for (let c = nearest + 1; c < this.#starts[i + 1]!; c++) {
        if (this.#kernel[c]! > this.#kernel[nearest]!) nearest = c;
      }
      received[this.#cells[nearest]!]! += this.#a[i]!;
    }
    for (let j = 0; j < this.#m; j++) {
      if (received[j] === 0) continue;
      const ratio = this.#b[j]! / received[j]!;
      this.#v[j] = tau === epsilon ? ratio : ratio ** (tau / epsilon);
    }
  }

  /**
   * Solve.
   *
   * @returns Whether that went well; if not, the problem needs the log domain.
   */
  solve(): boolean {
    const { iterations, threshold } = this.#settings;
    if (this.#n === 0 || this.#m === 0) return false;
    for (let i = 0; i < this.#n; i++) this.#u[i] = 0;
    this.#updateU();
    this.iterations = 0;
    do {
      if (!this.#updateV() || !this.#updateU()) return false;
      this.iterations++;
    } while (this.iterations < iterations && this.error > threshold);
    return this.#isComplete();
  }

  /**
   * What the columns receive.
   *
   * @param into Where to write the sum of each.
   */
  columnSums(into: Float64Array): void {
    this.#gather();
    for (let j = 0; j < this.#m; j++) {
      into[j] = this.#gathered[j]! * this.#v[j]!;
    }
  }

  /**
   * The cells of the plan that hold mass, row by row.
   *
   * @param tell Told the row, the column, and the mass.
   */
  eachCell(tell: (i: number, j: number, mass: number) => void): void {
    for (let i = 0; i < this.#n; i++) {
      for (let c = this.#starts[i]!; c < this.#starts[i + 1]!; c++) {
        const j = this.#cells[c]!;
        tell(i, j, this.#u[i]! * this.#kernel[c]! * this.#v[j]!);
      }
    }
  }

  /** Whether no cell that is left out, or below f64's range, holds mass. */
  #isComplete(): boolean {
    let u = 0;
    let v = 0;
    for (let i = 0; i < this.#n; i++) u = Math.max(u, this.#u[i]!);
    for (let j = 0; j < this.#m; j++) v = Math.max(v, this.#v[j]!);
    if (this.reach === Infinity) return u * v * SUBNORMAL < LOST;
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
    this.error = error;
    return true;
  }

  #updateV(): boolean {
    const [relaxation, gathered] = [this.#relaxation, this.#gathered];
    if (relaxation === 0) return true;
    this.#gather();
    for (let j = 0; j < this.#m; j++) {
      const sum = gathered[j]!;
      // No row reaches this column: its v would multiply nothing.
      if (sum === 0 && this.reach < Infinity) continue;
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
    for (let j = 0; j < this.#m; j++) gathered[j] = 0;
    let cell = 0;
    for (let i = 0; i < this.#n; i++) {
      const end = this.#starts[i + 1]!;
      const scale = this.#u[i]!;
      for (; cell < end; cell++) {
        gathered[cells[cell]!]! += kernel[cell]! * scale;
      }
    }
  }
}
