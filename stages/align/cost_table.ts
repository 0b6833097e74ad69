import type { EditBound } from "./edit_bound.ts";

/** Source tokens, and target tokens, whose costs are kept. */
const ROWS = 2048;
const COLUMNS = 2048;

/** A cost that is not known, in a byte. */
const UNKNOWN = 255;

/** Which tokens there are. */
export interface CostTableOptions {
  /** Tokens of the source. */
  sourceSize: number;
  /** Tokens of the target. */
  targetSize: number;
  /** Where costs are edits: what is far apart need not be compared. */
  bound?: EditBound;
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
  readonly #bound: EditBound | undefined;
  /** Costs by source token, `[COLUMNS]`, NaN or 255 where they are not known. */
  readonly #rows: (Float32Array | Uint8Array | undefined)[];
  /** The column of a target token, or −1. */
  readonly #columnOf: Int16Array;
  #rowCount = 0;
  #columnCount = 0;

  /**
   * Start empty.
   *
   * @param options Which tokens there are.
   * @param compute The cost between a source token and a target token.
   */
  constructor(
    { sourceSize, targetSize, bound }: CostTableOptions,
    compute: (sourceId: number, targetId: number) => number,
  ) {
    this.#compute = compute;
    this.#bound = bound;
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
   * @param count How many target tokens there are.
   * @param most Costs above this may come out as `Infinity`.
   */
  row(
    sourceId: number,
    targetIds: ArrayLike<number>,
    into: Float32Array,
    first: number,
    count: number,
    most: number,
  ): void {
    const row = this.#rows[sourceId] ?? this.#newRow(sourceId);
    const bound = most < Infinity ? this.#bound : undefined;
    for (let j = 0; j < count; j++) {
      const targetId = targetIds[j]!;
      into[first + j] = bound?.exceeds(sourceId, targetId, most)
        ? Infinity
        : this.#cost(row, sourceId, targetId);
    }
  }

  #cost(
    row: Float32Array | Uint8Array | undefined,
    sourceId: number,
    targetId: number,
  ): number {
    if (!row) return this.#compute(sourceId, targetId);
    let column = this.#columnOf[targetId]!;
    if (column < 0) column = this.#newColumn(targetId);
    if (column < 0) return this.#compute(sourceId, targetId);
    const known = row[column]!;
    if (known !== UNKNOWN && known === known) return known;
    const cost = this.#compute(sourceId, targetId);
    if (cost < UNKNOWN) row[column] = cost;
    return cost;
  }

  #newRow(sourceId: number): Float32Array | Uint8Array | undefined {
    if (this.#rowCount === ROWS) return undefined;
    this.#rowCount++;
    return this.#rows[sourceId] = this.#bound
      ? new Uint8Array(COLUMNS).fill(UNKNOWN)
      : new Float32Array(COLUMNS).fill(NaN);
  }

  #newColumn(targetId: number): number {
    if (this.#columnCount === COLUMNS) return -1;
    return this.#columnOf[targetId] = this.#columnCount++;
  }
}
