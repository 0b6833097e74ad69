import { isFurther } from "./edit_bound.ts";

/**
 * Source tokens, and target tokens, whose costs are kept; the last of each
 * stands for all others, of which nothing is kept.
 */
const ROWS = 4096;
const COLUMNS = 2048;

/** In a cell: a cost that is not known, and one that is above what matters. */
const UNKNOWN = 0;
const FAR = 255;

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
 * Tokens get their rows and columns in the order in which they come, so that
 * what is looked up most lies side by side; edits are kept in a byte.
 */
export class CostTable {
  readonly #compute: (sourceId: number, targetId: number) => number;
  readonly #sketches: CostTableOptions["sketches"];
  /** Costs, or {@linkcode UNKNOWN} or {@linkcode FAR}, `[ROWS, COLUMNS]`. */
  readonly #cells: Uint8Array | Float32Array;
  readonly #rows: Slots;
  readonly #columns: Slots;
  /** The edits above which a cost is far. */
  #most: number | undefined;
  /** What is selected: tokens, their columns and sketches. */
  #count = 0;
  #targetIds = new Int32Array(64);
  #selected = new Int16Array(64);
  #targetSketches = new Int32Array(64);

  /**
   * Start empty.
   *
   * @param options Which tokens there are.
   * @param compute The cost between a source token and a target token, at least 1.
   */
  constructor(
    { sourceSize, targetSize, sketches }: CostTableOptions,
    compute: (sourceId: number, targetId: number) => number,
  ) {
    this.#compute = compute;
    this.#sketches = sketches;
    this.#rows = new Slots(sourceSize, ROWS);
    this.#columns = new Slots(targetSize, COLUMNS);
    // Untouched pages take no memory.
    this.#cells = sketches
      ? new Uint8Array(ROWS * COLUMNS)
      : new Float32Array(ROWS * COLUMNS);
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
      this.#targetIds[j] = id;
      this.#selected[j] = this.#columns.of(id);
      if (this.#sketches) this.#targetSketches[j] = this.#sketches.target[id]!;
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
    const [cells, columns, count] = [this.#cells, this.#selected, this.#count];
    const row = this.#rows.of(sourceId) * COLUMNS;
    const isBounded = this.#isBounded(most);
    const none = isBounded ? UNKNOWN : FAR;
    for (let j = 0; j < count; j++) {
      const known = cells[row + columns[j]!]!;
      into[first + j] = known === UNKNOWN || known === none
        ? this.#tell(sourceId, j, row + columns[j]!, isBounded)
        : known;
    }
  }

  /** Whether all above `most` may be far: what that is does not change. */
  #isBounded(most: number): boolean {
    if (!this.#sketches || !(most < FAR)) return false;
    this.#most ??= Math.floor(most);
    return this.#most === Math.floor(most);
  }

  #tell(
    sourceId: number,
    j: number,
    cell: number,
    isBounded: boolean,
  ): number {
    const cost = isBounded && this.#isFar(sourceId, j)
      ? FAR
      : this.#compute(sourceId, this.#targetIds[j]!);
    const isKept = cell < (ROWS - 1) * COLUMNS &&
      cell % COLUMNS !== COLUMNS - 1;
    if (isKept && (!this.#sketches || cost <= FAR)) this.#cells[cell] = cost;
    return cost;
  }

  #isFar(sourceId: number, j: number): boolean {
    const sketch = this.#sketches!.source[sourceId]!;
    return isFurther(sketch, this.#targetSketches[j]!, this.#most!);
  }

  #reserve(count: number): void {
    this.#targetIds = new Int32Array(count);
    this.#selected = new Int16Array(count);
    this.#targetSketches = new Int32Array(count);
  }
}

/** Gives tokens slots in the order in which they come, the last to all others. */
class Slots {
  readonly #slotOf: Int16Array;
  readonly #last: number;
  #next = 0;

  constructor(tokens: number, slots: number) {
    this.#slotOf = new Int16Array(tokens).fill(-1);
    this.#last = slots - 1;
  }

  of(id: number): number {
    const slot = this.#slotOf[id]!;
    if (slot >= 0) return slot;
    return this.#slotOf[id] = this.#next < this.#last
      ? this.#next++
      : this.#last;
  }
}
