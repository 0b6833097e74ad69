import { type Code, op, type, type WasmFunction } from "#/kernels/wasm.ts";

/**
 * Rows are worked on in blocks of so many: what pads least, and of those the largest.
 * A block's sums have to fit into the 16 registers there are.
 */
const BLOCKS = [8, 7, 6, 5, 4];
const MOST = Math.max(...BLOCKS);

/** Cells up to which loops are written out, with addresses that V8 need not check. */
const MAX_UNROLLED = 256;

/** Bytes of one number of both problems, one in each lane. */
const PAIR = 16;

/** Sums outside of [1 / RANGE, RANGE] end the iteration. */
export const RANGE = 1e250;

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

/** Where everything lies in memory. */
export type PairLayout = ReturnType<typeof layoutOf>;

/**
 * Lay a pair out in memory.
 *
 * @param sourcePoints Rows of K, before they are padded to whole blocks.
 * @param cols Columns of K.
 * @returns Sizes, and byte offsets of the arrays.
 */
export function layoutOf(sourcePoints: number, cols: number) {
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
    isUnrolled: rows * cols <= MAX_UNROLLED,
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

/**
 * Write the iteration.
 *
 * @param layout Where everything lies.
 * @returns A function `iterate` of the most iterations there may be, which returns
 * how many there were.
 */
export function iterateFunction(layout: PairLayout): WasmFunction {
  return {
    name: "iterate",
    params: [type.i32],
    results: [type.i32],
    locals: [
      ...Array(LOCAL.sum - 1).fill(type.i32),
      ...Array(MOST + 4).fill(type.v128),
    ],
    body: iterateBody(layout),
  };
}

function iterateBody(layout: PairLayout): Code {
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

/** An address in the making: a local, or where loops are written out a constant. */
interface Place {
  base: Code;
  offset: number;
}

function loadAt({ base, offset }: Place, address: number): Code {
  return [base, op.load(address + offset)];
}

function storeAt({ base, offset }: Place, address: number, value: Code): Code {
  return [base, value, op.store(address + offset)];
}

/** v = b / Kᵀ u, which is then gathered anew. */
function updateColumns(layout: PairLayout): Code {
  const { outer, factor: sum } = LOCAL;
  const { cols, b, v, gathered } = layout;
  return overBlocks(layout, outer, { count: cols, block: 1 }, (column) => [
    [loadAt(column, gathered), op.set(sum)],
    trackRange(sum),
    storeAt(column, v, [loadAt(column, b), op.get(sum), op.f64x2Div]),
    storeAt(column, gathered, op.f64x2Splat(0)),
  ]);
}

/** u = a / K v, the error of the row sums before it, and Kᵀ u. */
function updateRows(layout: PairLayout): Code {
  const { outer, cell0, error } = LOCAL;
  const { rows, cols, rowBlock, a, u } = layout;
  const blocks = { count: rows, block: rowBlock };
  return [
    [op.f64x2Splat(0), op.set(error)],
    [op.i32(0), op.set(cell0)],
    overBlocks(layout, outer, blocks, (row) => [
      sumRows(layout, row),
      each(rowBlock, (lane) => {
        const sum = LOCAL.sum + lane;
        const mass = loadAt(row, a + lane * PAIR);
        const scaling = u + lane * PAIR;
        return [
          trackRange(sum),
          [op.get(error), loadAt(row, scaling), op.get(sum), op.f64x2Mul],
          [mass, op.f64x2Sub, op.f64x2Abs, op.f64x2Add, op.set(error)],
          [mass, op.get(sum), op.f64x2Div, op.set(sum)],
          storeAt(row, scaling, op.get(sum)),
        ];
      }),
      gatherRows(layout, row),
      [op.get(cell0), op.i32(rowBlock * cols * PAIR), op.i32Add],
      op.set(cell0),
    ]),
  ];
}

/** Sum K v for each row of a block, in order. */
function sumRows(layout: PairLayout, row: Place): Code {
  const { sum, factor } = LOCAL;
  const { rowBlock, v } = layout;
  return [
    each(rowBlock, (lane) => [op.f64x2Splat(0), op.set(sum + lane)]),
    overColumns(layout, row, (column, cell) => [
      [loadAt(column, v), op.set(factor)],
      each(rowBlock, (lane) => [
        [op.get(sum + lane), loadAt(cell, rowOf(layout, lane))],
        [op.get(factor), op.f64x2Mul, op.f64x2Add, op.set(sum + lane)],
      ]),
    ]),
  ];
}

/** Add K u of each row of a block to what the columns have gathered, in order. */
function gatherRows(layout: PairLayout, row: Place): Code {
  const { sum } = LOCAL;
  const { rowBlock, gathered } = layout;
  return overColumns(layout, row, (column, cell) =>
    storeAt(column, gathered, [
      loadAt(column, gathered),
      each(rowBlock, (lane) => [
        loadAt(cell, rowOf(layout, lane)),
        [op.get(sum + lane), op.f64x2Mul, op.f64x2Add],
      ]),
    ]));
}

/** Where a row of the block at hand begins in K. */
function rowOf({ kernel, cols }: PairLayout, lane: number): number {
  return kernel + lane * cols * PAIR;
}

/**
 * Go along the rows of a block, whose first begins at local `cell0`. A column at a
 * time: V8 compares every address with a limit of its own, and those of one column's
 * cells are all it keeps in registers.
 */
function overColumns(
  layout: PairLayout,
  row: Place,
  body: (column: Place, cell: Place) => Code,
): Code {
  const { inner, cell, cell0 } = LOCAL;
  const { cols, isUnrolled } = layout;
  return [
    [op.get(cell0), op.set(cell)],
    overBlocks(layout, inner, { count: cols, block: 1 }, (column) => [
      isUnrolled
        ? body(column, at(row.offset * cols + column.offset))
        : body(column, { base: op.get(cell), offset: 0 }),
      [op.get(cell), op.i32(PAIR), op.i32Add, op.set(cell)],
    ]),
  ];
}

/** Every block's first number, by byte offset: in a local, or written out. */
function overBlocks(
  { isUnrolled }: PairLayout,
  local: number,
  { count, block }: { count: number; block: number },
  body: (place: Place) => Code,
): Code {
  if (isUnrolled) {
    return each(count / block, (index) => body(at(index * block * PAIR)));
  }
  return [
    [op.i32(0), op.set(local)],
    op.doWhile([
      body({ base: op.get(local), offset: 0 }),
      [op.get(local), op.i32(block * PAIR), op.i32Add, op.set(local)],
      [op.get(local), op.i32(count * PAIR), op.i32LtU],
    ]),
  ];
}

function at(offset: number): Place {
  return { base: op.i32(0), offset };
}

/** A sum is NaN only after another has left the range, which stays on record. */
function trackRange(sum: number): Code {
  const { least, largest } = LOCAL;
  return [
    [op.get(least), op.get(sum), op.f64x2Pmin, op.set(least)],
    [op.get(largest), op.get(sum), op.f64x2Pmax, op.set(largest)],
  ];
}

function each(count: number, code: (index: number) => Code): Code {
  return Array.from({ length: count }, (_, index) => code(index));
}
