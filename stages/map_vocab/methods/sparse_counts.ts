/** Numbers by row and column, most of them 0. */
export class SparseCounts {
  readonly #rows = new Map<number, Map<number, number>>();

  /**
   * Add to a number.
   *
   * @param row Its row.
   * @param column Its column.
   * @param amount How much.
   */
  add(row: number, column: number, amount: number): void {
    let counts = this.#rows.get(row);
    if (!counts) this.#rows.set(row, counts = new Map());
    counts.set(column, (counts.get(column) ?? 0) + amount);
  }

  /**
   * Read a row.
   *
   * @param row Which.
   * @returns What is not 0, by column.
   */
  row(row: number): ReadonlyMap<number, number> {
    return this.#rows.get(row) ?? NONE;
  }

  /**
   * The largest numbers of a row.
   *
   * @param row Which.
   * @param most How many at most.
   * @returns Column and number, largest first; of equal ones the smaller column.
   */
  largest(row: number, most: number): [column: number, value: number][] {
    return [...this.row(row)]
      .sort(([i, x], [j, y]) => y - x || i - j)
      .slice(0, most);
  }
}

const NONE: ReadonlyMap<number, number> = new Map();
