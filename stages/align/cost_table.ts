/** Source tokens, and target tokens, whose costs are kept. */
const ROWS = 2048;
const COLUMNS = 2048;

/**
 * Costs between tokens of two vocabularies, computed once for those that come
 * first, which are the frequent ones, and every time for the others.
 *
 * Tokens get their columns in the order in which they come, so that what is
 * looked up most lies side by side.
 */
export class CostTable {
  readonly #compute: (sourceId: number, targetId: number) => number;
  /** Costs by source token, `[COLUMNS]`, NaN where they are not known. */
  readonly #rows: (Float32Array | undefined)[];
  /** The column of a target token, or −1. */
  readonly #columnOf: Int16Array;
  #rowCount = 0;
  #columnCount = 0;

  /**
   * Start empty.
   *
   * @param compute The cost between a source token and a target token.
   * @param sourceSize Tokens of the source.
   * @param targetSize Tokens of the target.
   */
  constructor(
    compute: (sourceId: number, targetId: number) => number,
    sourceSize: number,
    targetSize: number,
  ) {
    this.#compute = compute;
    this.#rows = Array.from({ length: sourceSize }, () => undefined);
    this.#columnOf = new Int16Array(targetSize).fill(-1);
  }

  /**
   * Look up costs.
   *
   * @param sourceId A source token.
   * @param targetIds Target tokens.
   * @param into Where to write the cost of each.
   * @param first The entry to begin with.
   */
  row(
    sourceId: number,
    targetIds: ArrayLike<number>,
    into: Float32Array,
    first: number,
  ): void {
    const row = this.#rows[sourceId] ?? this.#newRow(sourceId);
    for (let j = 0; j < targetIds.length; j++) {
      const targetId = targetIds[j]!;
      let column = this.#columnOf[targetId]!;
      if (column < 0) column = this.#newColumn(targetId);
      let cost = row && column >= 0 ? row[column]! : NaN;
      if (Number.isNaN(cost)) {
        cost = this.#compute(sourceId, targetId);
        if (row && column >= 0) row[column] = cost;
      }
      into[first + j] = cost;
    }
  }

  #newRow(sourceId: number): Float32Array | undefined {
    if (this.#rowCount === ROWS) return undefined;
    this.#rowCount++;
    return this.#rows[sourceId] = new Float32Array(COLUMNS).fill(NaN);
  }

  #newColumn(targetId: number): number {
    if (this.#columnCount === COLUMNS) return -1;
    return this.#columnOf[targetId] = this.#columnCount++;
  }
}
