import { type Code, op, type, wasmModule } from "#/kernels/wasm.ts";

/** Rows and columns are worked on in blocks of so many: what pads least. */
const BLOCKS = [4, 5, 6];
const MOST = Math.max(...BLOCKS);

/** Bytes of one number of both problems, one in each lane. */
const PAIR = 16;

/** Sums outside of [1 / RANGE, RANGE] end the iteration. */
export const RANGE = 1e250;

/** Two balanced problems in the lanes of f64x2 vectors. */
export interface SinkhornPair {
  /** Rows of K, padded to whole blocks. */
  rows: number;
  /** Columns of K, padded likewise. */
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
  /** Sums of a block; their shared factor; then results in the making. */
  sum: 6,
  factor: 6 + MOST,
  error: 7 + MOST,
  least: 8 + MOST,
  largest: 9 + MOST,
} as const;

type Layout = ReturnType<typeof layoutOf>;

function layoutOf(sourcePoints: number, targetPoints: number) {
  const rowBlock = blockOf(sourcePoints);
  const colBlock = blockOf(targetPoints);
  const rows = Math.ceil(sourcePoints / rowBlock) * rowBlock;
  const cols = Math.ceil(targetPoints / colBlock) * colBlock;
  const kernel = 0;
  const a = rows * cols * PAIR;
  const u = a + rows * PAIR;
  const b = u + rows * PAIR;
  const v = b + cols * PAIR;
  const error = v + cols * PAIR;
  const threshold = error + PAIR;
  const [least, largest] = [threshold + PAIR, threshold + 2 * PAIR];
  const end = largest + PAIR;
  return {
    rows,
    cols,
    rowBlock,
    colBlock,
    kernel,
    a,
    u,
    b,
    v,
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

/** One side's numbers: how many, and how many a block. */
interface Side {
  count: number;
  block: number;
}

/** v = b / Kᵀ u. */
function updateColumns(layout: Layout): Code {
  const { outer, cell } = LOCAL;
  const { rows, cols, rowBlock, colBlock, kernel, u, b, v } = layout;
  const columns = { count: cols, block: colBlock };
  return overBlocks(columns, [
    [op.get(outer), op.set(cell)],
    sumBlock(colBlock, { count: rows, block: rowBlock }, u, {
      offset: (step, lane) => kernel + (step * cols + lane) * PAIR,
      stride: rowBlock * cols * PAIR,
    }),
    each(colBlock, (lane) => {
      const sum = LOCAL.sum + lane;
      return [
        trackRange(sum),
        op.get(outer),
        [op.get(outer), op.load(b + lane * PAIR), op.get(sum), op.f64x2Div],
        op.store(v + lane * PAIR),
      ];
    }),
  ]);
}

/** u = a / K v, and the error of the row sums before it. */
function updateRows(layout: Layout): Code {
  const { outer, cell, cell0, error } = LOCAL;
  const { rows, cols, rowBlock, colBlock, kernel, a, u, v } = layout;
  const load = (address: number): Code => [op.get(outer), op.load(address)];
  return [
    [op.f64x2Splat(0), op.set(error)],
    [op.i32(0), op.set(cell0)],
    overBlocks({ count: rows, block: rowBlock }, [
      [op.get(cell0), op.set(cell)],
      sumBlock(rowBlock, { count: cols, block: colBlock }, v, {
        offset: (step, lane) => kernel + (lane * cols + step) * PAIR,
        stride: colBlock * PAIR,
      }),
      [op.get(cell0), op.i32(rowBlock * cols * PAIR), op.i32Add],
      op.set(cell0),
      each(rowBlock, (lane) => {
        const sum = LOCAL.sum + lane;
        const [mass, scaling] = [a + lane * PAIR, u + lane * PAIR];
        return [
          trackRange(sum),
          [op.get(error), load(scaling), op.get(sum), op.f64x2Mul],
          [load(mass), op.f64x2Sub, op.f64x2Abs, op.f64x2Add, op.set(error)],
          [op.get(outer), load(mass), op.get(sum), op.f64x2Div],
          op.store(scaling),
        ];
      }),
    ]),
  ];
}

/** Local `outer` runs over the byte offsets of every block's first number. */
function overBlocks({ count, block }: Side, body: Code): Code {
  const { outer } = LOCAL;
  return [
    [op.i32(0), op.set(outer)],
    op.doWhile([
      body,
      [op.get(outer), op.i32(block * PAIR), op.i32Add, op.set(outer)],
      [op.get(outer), op.i32(count * PAIR), op.i32LtU],
    ]),
  ];
}

/** Sum K times the other side's factors, for each of a block, in order. */
function sumBlock(
  sums: number,
  { count, block }: Side,
  factors: number,
  { offset, stride }: {
    offset: (step: number, lane: number) => number;
    stride: number;
  },
): Code {
  const { inner, cell, sum, factor } = LOCAL;
  return [
    each(sums, (lane) => [op.f64x2Splat(0), op.set(sum + lane)]),
    [op.i32(0), op.set(inner)],
    op.doWhile([
      each(block, (step) => [
        [op.get(inner), op.load(factors + step * PAIR), op.set(factor)],
        each(sums, (lane) => [
          [op.get(sum + lane), op.get(cell), op.load(offset(step, lane))],
          [op.get(factor), op.f64x2Mul, op.f64x2Add, op.set(sum + lane)],
        ]),
      ]),
      [op.get(cell), op.i32(stride), op.i32Add, op.set(cell)],
      [op.get(inner), op.i32(block * PAIR), op.i32Add, op.set(inner)],
      [op.get(inner), op.i32(count * PAIR), op.i32LtU],
    ]),
  ];
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
