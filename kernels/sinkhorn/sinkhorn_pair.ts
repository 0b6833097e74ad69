import { type Code, op, type, wasmModule } from "#/kernels/wasm.ts";

/**
 * Rows are worked on in blocks of so many: what pads least, and of those the largest.
 * A block's sums have to fit into the 16 registers there are.
 */
const BLOCKS = [8, 7, 6, 5, 4];
const MOST = Math.max(...BLOCKS);

/** Bytes of one number of both problems, one in each lane. */
const PAIR = 16;

/** Sums outside of [1 / RANGE, RANGE] end the iteration. */
export const RANGE = 1e250;

/** Two balanced problems in the lanes of f64x2 vectors. */
export interface SinkhornPair {
  /** Rows of K, padded to whole blocks. */
  rows: number;
  /** Columns of K. */
  cols: number;
  /** exp(−C / ε), `[rows, cols, 2]`. */
  kernel: Float64Array;
  /** Source marginals, `[rows, 2]`. */
  a: Float64Array;
  /** Target marginals, `[cols, 2]`. */
  b: Float64Array;
  /** exp(f / ε), `[rows, 2]`. */
  u: Float64Array;
  /** exp(g / ε), `[cols, 2]`. */
  v: Float64Array;
  /** Kᵀ u, `[cols, 2]`; to be set with u. */
  gathered: Float64Array;
  /** L1 distances of row sums from a, `[2]`. */
  error: Float64Array;
  /** Errors at which to stop, `[2]`. */
  threshold: Float64Array;
  /** Least and largest sums so far, `[2]` each. */
  least: Float64Array;
  largest: Float64Array;
  /**
   * Update v, then u, up to `times` times; until a problem has reached its
   * threshold or left the range.
   *
   * @param times At most so often, at least once.
   * @returns How often.
   */
  iterate: (times: number) => number;
}

/**
 * Room for two balanced problems and WebAssembly SIMD to solve them, each in
 * the order of operations of a plain loop: the same bits as that.
 *
 * An iteration goes through K once: what a block of rows adds to the columns' next
 * sums is added as soon as its u is known, while the block is still in the cache.
 *
 * @param rows Source points.
 * @param cols Target points.
 * @returns The room, all zeros.
 */
export function sinkhornPair(rows: number, cols: number): SinkhornPair {
  const layout = layoutOf(rows, cols);
  const bytes = wasmModule([{
    name: "iterate",
    params: [type.i32],
    results: [type.i32],
    locals: [
      ...Array(LOCAL.sum - 1).fill(type.i32),
      ...Array(MOST + 4).fill(type.v128),
    ],
    body: iterateBody(layout),
  }], Math.ceil(layout.end / 65_536));
  const { memory, iterate } = new WebAssembly.Instance(
    new WebAssembly.Module(bytes),
  ).exports as { memory: WebAssembly.Memory; iterate: SinkhornPair["iterate"] };
  const view = (offset: number, count: number) =>
    new Float64Array(memory.buffer, offset, 2 * count);
  return {
    rows: layout.rows,
    cols: layout.cols,
    kernel: view(layout.kernel, layout.rows * layout.cols),
    a: view(layout.a, layout.rows),
    b: view(layout.b, layout.cols),
    u: view(layout.u, layout.rows),
    v: view(layout.v, layout.cols),
    gathered: view(layout.gathered, layout.cols),
    error: view(layout.error, 1),
    threshold: view(layout.threshold, 1),
    least: view(layout.least, 1),
    largest: view(layout.largest, 1),
    iterate,
  };
}

/** Locals of the function, after its parameter. */
const LOCAL = {
  times: 0,
  count: 1,
  /** Byte offsets: of a row's or a column's number, and into K. */
  outer: 2,
  inner: 3,
  cell: 4,
  cell0: 5,
  /**
   * Sums of a block of rows, then their u; what these share, a factor or what a
   * column has gathered; then results in the making.
   */
  sum: 6,
  factor: 6 + MOST,
  error: 7 + MOST,
  least: 8 + MOST,
  largest: 9 + MOST,
} as const;

type Layout = ReturnType<typeof layoutOf>;

function layoutOf(sourcePoints: number, cols: number) {
  const rowBlock = blockOf(sourcePoints);
  const rows = Math.ceil(sourcePoints / rowBlock) * rowBlock;
  const kernel = 0;
  const a = rows * cols * PAIR;
  const u = a + rows * PAIR;
  const b = u + rows * PAIR;
  const v = b + cols * PAIR;
  const gathered = v + cols * PAIR;
  const error = gathered + cols * PAIR;
  const threshold = error + PAIR;
  const [least, largest] = [threshold + PAIR, threshold + 2 * PAIR];
  const end = largest + PAIR;
  return {
    rows,
    cols,
    rowBlock,
    kernel,
    a,
    u,
    b,
    v,
    gathered,
    error,
    threshold,
    least,
    largest,
    end,
  };
}

function blockOf(count: number): number {
  const padding = (block: number) => Math.ceil(count / block) * block - count;
  return BLOCKS.reduce((best, block) =>
    padding(block) < padding(best) ? block : best
  );
}

function iterateBody(layout: Layout): Code {
  const { count, times, error, least, largest } = LOCAL;
  const load = (address: number): Code => [op.i32(0), op.load(address)];
  const store = (address: number, local: number): Code => [
    [op.i32(0), op.get(local), op.store(address)],
  ];
  const isOver: Code = [
    [op.get(error), load(layout.threshold), op.f64x2Le],
    [op.f64x2Splat(1 / RANGE), op.get(least), op.f64x2Lt],
    [op.get(largest), op.f64x2Splat(RANGE), op.f64x2Lt],
    [op.and, op.not, op.or, op.anyTrue],
  ];
  return [
    [load(layout.least), op.set(least), load(layout.largest), op.set(largest)],
    op.doWhile([
      updateColumns(layout),
      updateRows(layout),
      [op.get(count), op.i32(1), op.i32Add, op.set(count)],
      [op.get(count), op.get(times), op.i32LtU],
      [isOver, op.i32Eqz, op.i32And],
    ]),
    store(layout.error, error),
    store(layout.least, least),
    store(layout.largest, largest),
    op.get(count),
  ];
}

/** v = b / Kᵀ u, which is then gathered anew. */
function updateColumns({ cols, b, v, gathered }: Layout): Code {
  const { outer, factor: sum } = LOCAL;
  return overBlocks(outer, cols, 1, [
    [op.get(outer), op.load(gathered), op.set(sum)],
    trackRange(sum),
    op.get(outer),
    [op.get(outer), op.load(b), op.get(sum), op.f64x2Div],
    op.store(v),
    [op.get(outer), op.f64x2Splat(0), op.store(gathered)],
  ]);
}

/** u = a / K v, the error of the row sums before it, and Kᵀ u. */
function updateRows(layout: Layout): Code {
  const { outer, cell, cell0, error } = LOCAL;
  const { rows, cols, rowBlock, a, u } = layout;
  const load = (address: number): Code => [op.get(outer), op.load(address)];
  return [
    [op.f64x2Splat(0), op.set(error)],
    [op.i32(0), op.set(cell0)],
    overBlocks(outer, rows, rowBlock, [
      [op.get(cell0), op.set(cell)],
      sumRows(layout),
      each(rowBlock, (lane) => {
        const sum = LOCAL.sum + lane;
        const [mass, scaling] = [a + lane * PAIR, u + lane * PAIR];
        return [
          trackRange(sum),
          [op.get(error), load(scaling), op.get(sum), op.f64x2Mul],
          [load(mass), op.f64x2Sub, op.f64x2Abs, op.f64x2Add, op.set(error)],
          [load(mass), op.get(sum), op.f64x2Div, op.set(sum)],
          [op.get(outer), op.get(sum), op.store(scaling)],
        ];
      }),
      [op.get(cell0), op.set(cell)],
      gatherRows(layout),
      [op.get(cell0), op.i32(rowBlock * cols * PAIR), op.i32Add],
      op.set(cell0),
    ]),
  ];
}

/** A local runs over the byte offsets of every block's first number. */
function overBlocks(
  local: number,
  count: number,
  block: number,
  body: Code,
): Code {
  return [
    [op.i32(0), op.set(local)],
    op.doWhile([
      body,
      [op.get(local), op.i32(block * PAIR), op.i32Add, op.set(local)],
      [op.get(local), op.i32(count * PAIR), op.i32LtU],
    ]),
  ];
}

/** Sum K v for each row of a block, in order. */
function sumRows(layout: Layout): Code {
  const { inner, sum, factor } = LOCAL;
  const { rowBlock, v } = layout;
  return [
    each(rowBlock, (lane) => [op.f64x2Splat(0), op.set(sum + lane)]),
    overColumns(layout, [
      [op.get(inner), op.load(v), op.set(factor)],
      each(rowBlock, (lane) => [
        [op.get(sum + lane), loadCell(layout, lane)],
        [op.get(factor), op.f64x2Mul, op.f64x2Add, op.set(sum + lane)],
      ]),
    ]),
  ];
}

/** Add K u of each row of a block to what the columns have gathered, in order. */
function gatherRows(layout: Layout): Code {
  const { inner, sum } = LOCAL;
  const { rowBlock, gathered } = layout;
  return overColumns(layout, [
    op.get(inner),
    [op.get(inner), op.load(gathered)],
    each(rowBlock, (lane) => [
      loadCell(layout, lane),
      [op.get(sum + lane), op.f64x2Mul, op.f64x2Add],
    ]),
    op.store(gathered),
  ]);
}

/**
 * Go along the rows of a block. Not unrolled: V8 compares every address with a
 * limit of its own, and those of one column's cells are all it keeps in registers.
 */
function overColumns({ cols }: Layout, body: Code): Code {
  const { inner, cell } = LOCAL;
  return overBlocks(inner, cols, 1, [
    body,
    [op.get(cell), op.i32(PAIR), op.i32Add, op.set(cell)],
  ]);
}

/** The cell of a block's row and the column that the loop is at. */
function loadCell({ kernel, cols }: Layout, row: number): Code {
  return [op.get(LOCAL.cell), op.load(kernel + row * cols * PAIR)];
}

function trackRange(sum: number): Code {
  const { least, largest } = LOCAL;
  return [
    [op.get(least), op.get(sum), op.f64x2Min, op.set(least)],
    [op.get(largest), op.get(sum), op.f64x2Max, op.set(largest)],
  ];
}

function each(count: number, code: (index: number) => Code): Code {
  return Array.from({ length: count }, (_, index) => code(index));
}
