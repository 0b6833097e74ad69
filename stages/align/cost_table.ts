import { isFurther } from "./edit_bound.ts";

/** Source tokens, and target tokens, whose costs are kept. */
const ROWS = 4096;
const COLUMNS = 2048;

/** In a byte: a cost that is not known, and one that is above what matters. */
const UNKNOWN = 255;
const FAR = 254;

/** Which tokens there are. */
export interface CostTableOptions {
  /** Tokens of the source. */
  sourceSize: number;
  /** Tokens of the target. */
  targetSize: number;
  /** Where costs are edits, sketches of all tokens: see `isFurther()`. */
  sketches?: { source: Int32Array; target: Int32Array };
}

/**
 * Costs between tokens of two vocabularies, computed once for those that come
 * first, which are the frequent ones, and every time for the others.
 *
 * Tokens get their columns in the order in which they come, so that what is
 * looked up most lies side by side; edits are kept in a byte.
 */
export class CostTable {
  readonly #compute: (sourceId: number, targetId: number) => number;
  readonly #sketches: CostTableOptions["sketches"];
  /**
   * Costs by source token, `[COLUMNS]`: edits, or {@linkcode FAR} or
   * {@linkcode UNKNOWN}; other costs, or NaN.
   */
  readonly #rows: (Float32Array | Uint8Array | undefined)[];
  /** The column of a target token, or −1. */
  readonly #columnOf: Int16Array;
  /** The edits above which a cost is far. */
  #most: number | undefined;
  #rowCount = 0;
  #columnCount = 0;
  /** What is selected: tokens, their columns and sketches. */
  #count = 0;
  #targetIds = new Int32Array(64);
  #columns = new Int16Array(64);
  #selected = new Int32Array(64);

  /**
   * Start empty.
   *
   * @param options Which tokens there are.
   * @param compute The cost between a source token and a target token.
   */
  constructor(
    { sourceSize, targetSize, sketches }: CostTableOptions,
    compute: (sourceId: number, targetId: number) => number,
  ) {
    this.#compute = compute;
    this.#sketches = sketches;
    this.#rows = Array.from({ length: sourceSize }, () => undefined);
    this.#columnOf = new Int16Array(targetSize).fill(-1);
  }

  /**
   * Select the target tokens that the next rows are about.
   *
   * @param targetIds Their ids.
   * @param count How many there are.
   */
  select(targetIds: ArrayLike<number>, count: number): void {
    if (count > this.#targetIds.length) this.#reserve(2 * count);
    this.#count = count;
    for (let j = 0; j < count; j++) {
      const id = targetIds[j]!;
      const column = this.#columnOf[id]!;
      this.#targetIds[j] = id;
      this.#columns[j] = column < 0 ? this.#newColumn(id) : column;
      if (this.#sketches) this.#selected[j] = this.#sketches.target[id]!;
    }
  }

  /**
   * Look up what it costs to move from a source token to those selected.
   *
   * @param sourceId The source token.
   * @param into Where to write the cost of each.
   * @param first The entry to begin with.
   * @param most Costs above this may come out as any such.
   */
  row(
    sourceId: number,
    into: Float32Array,
    first: number,
    most: number,
  ): void {
    const row = this.#rows[sourceId] ?? this.#newRow(sourceId);
    const columns = this.#columns;
    const count = this.#count;
    const isBounded = this.#isBounded(most);
    const limit = isBounded ? UNKNOWN : FAR;
    for (let j = 0; j < count; j++) {
      const column = columns[j]!;
      const known = row && column >= 0 ? row[column]! : UNKNOWN;
      // NaN is not known either.
      into[first + j] = known < limit
        ? known
        : this.#tell(row, sourceId, j, isBounded);
    }
  }

  /** Whether all above `most` may be far: what that is does not change. */
  #isBounded(most: number): boolean {
    if (!this.#sketches || !(most < FAR)) return false;
    this.#most ??= Math.floor(most);
    return this.#most === Math.floor(most);
  }

  #tell(
    row: Float32Array | Uint8Array | undefined,
    sourceId: number,
    j: number,
    isBounded: boolean,
  ): number {
    const column = this.#columns[j]!;
    const cost = isBounded && this.#isFar(sourceId, j)
      ? FAR
      : this.#compute(sourceId, this.#targetIds[j]!);
    const fits = !this.#sketches || cost <= FAR;
    if (row && column >= 0 && fits) row[column] = cost;
    return cost;
  }

  #isFar(sourceId: number, j: number): boolean {
    const sketch = this.#sketches!.source[sourceId]!;
    return isFurther(sketch, this.#selected[j]!, this.#most!);
  }

  #newRow(sourceId: number): Float32Array | Uint8Array | undefined {
    if (this.#rowCount === ROWS) return undefined;
    this.#rowCount++;
    return this.#rows[sourceId] = this.#sketches
      ? new Uint8Array(COLUMNS).fill(UNKNOWN)
      : new Float32Array(COLUMNS).fill(NaN);
  }

  #newColumn(targetId: number): number {
    if (this.#columnCount === COLUMNS) return -1;
    return this.#columnOf[targetId] = this.#columnCount++;
  }

  #reserve(count: number): void {
    this.#targetIds = new Int32Array(count);
    this.#columns = new Int16Array(count);
    this.#selected = new Int32Array(count);
  }
}
