import { type Code, op, type, wasmModule } from "#/kernels/wasm.ts";

/** Rows and columns are worked on in blocks of this many. */
const BLOCK = 4;

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
  const layout = layoutOf(toBlocks(rows), toBlocks(cols));
  const bytes = wasmModule([{
    name: "iterate",
    params: [type.i32],
    results: [type.i32],
    locals: [
      ...Array(LOCAL.sum - 1).fill(type.i32),
      ...Array(BLOCK + 2).fill(type.v128),
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
  /** Sums of a block; then the shared factor and the error. */
  sum: 6,
  factor: 6 + BLOCK,
  error: 7 + BLOCK,
} as const;

type Layout = ReturnType<typeof layoutOf>;

function layoutOf(rows: number, cols: number) {
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

function toBlocks(count: number): number {
  return Math.max(1, Math.ceil(count / BLOCK)) * BLOCK;
}

function iterateBody(layout: Layout): Code {
  const { count, times } = LOCAL;
  const at = (address: number): Code => [op.i32(0), op.load(address)];
  const isOver: Code = [
    [at(layout.error), at(layout.threshold), op.f64x2Le],
    [op.f64x2Splat(1 / RANGE), at(layout.least), op.f64x2Lt],
    [at(layout.largest), op.f64x2Splat(RANGE), op.f64x2Lt],
    [op.and, op.not, op.or, op.anyTrue],
  ];
  return [
    [op.i32(0), op.set(count)],
    op.doWhile([
      updateColumns(layout),
      updateRows(layout),
      [op.get(count), op.i32(1), op.i32Add, op.set(count)],
      [op.get(count), op.get(times), op.i32LtU],
      [isOver, op.i32Eqz, op.i32And],
    ]),
    op.get(count),
  ];
}

/** v = b / Kᵀ u. */
function updateColumns(
  { rows, cols, kernel, u, b, v, ...layout }: Layout,
): Code {
  const { outer, cell } = LOCAL;
  return overBlocks(cols, [
    [op.get(outer), op.set(cell)],
    sumBlock(rows, u, {
      offset: (step, lane) => kernel + (step * cols + lane) * PAIR,
      stride: BLOCK * cols * PAIR,
    }),
    eachOfBlock((lane) => {
      const sum = LOCAL.sum + lane;
      return [
        trackRange(layout, sum),
        op.get(outer),
        [op.get(outer), op.load(b + lane * PAIR), op.get(sum), op.f64x2Div],
        op.store(v + lane * PAIR),
      ];
    }),
  ]);
}

/** u = a / K v, and the error of the row sums before it. */
function updateRows({ rows, cols, kernel, a, u, v, ...layout }: Layout): Code {
  const { outer, cell, cell0, error } = LOCAL;
  const load = (address: number): Code => [op.get(outer), op.load(address)];
  return [
    [op.f64x2Splat(0), op.set(error)],
    [op.i32(0), op.set(cell0)],
    overBlocks(rows, [
      [op.get(cell0), op.set(cell)],
      sumBlock(cols, v, {
        offset: (step, lane) => kernel + (lane * cols + step) * PAIR,
        stride: BLOCK * PAIR,
      }),
      [op.get(cell0), op.i32(BLOCK * cols * PAIR), op.i32Add, op.set(cell0)],
      eachOfBlock((lane) => {
        const sum = LOCAL.sum + lane;
        const [mass, scaling] = [a + lane * PAIR, u + lane * PAIR];
        return [
          trackRange(layout, sum),
          [op.get(error), load(scaling), op.get(sum), op.f64x2Mul],
          [load(mass), op.f64x2Sub, op.f64x2Abs, op.f64x2Add, op.set(error)],
          [op.get(outer), load(mass), op.get(sum), op.f64x2Div],
          op.store(scaling),
        ];
      }),
    ]),
    [op.i32(0), op.get(error), op.store(layout.error)],
  ];
}

/** Local `outer` runs over the byte offsets of every block's first number. */
function overBlocks(count: number, body: Code): Code {
  const { outer } = LOCAL;
  return [
    [op.i32(0), op.set(outer)],
    op.doWhile([
      body,
      [op.get(outer), op.i32(BLOCK * PAIR), op.i32Add, op.set(outer)],
      [op.get(outer), op.i32(count * PAIR), op.i32LtU],
    ]),
  ];
}

/** Sum K times factors, for every row or column of a block, in order. */
function sumBlock(
  count: number,
  factors: number,
  { offset, stride }: {
    offset: (step: number, lane: number) => number;
    stride: number;
  },
): Code {
  const { inner, cell, sum, factor } = LOCAL;
  return [
    eachOfBlock((lane) => [op.f64x2Splat(0), op.set(sum + lane)]),
    [op.i32(0), op.set(inner)],
    op.doWhile([
      Array.from({ length: BLOCK }, (_, step): Code => [
        [op.get(inner), op.load(factors + step * PAIR), op.set(factor)],
        eachOfBlock((lane) => [
          [op.get(sum + lane), op.get(cell), op.load(offset(step, lane))],
          [op.get(factor), op.f64x2Mul, op.f64x2Add, op.set(sum + lane)],
        ]),
      ]),
      [op.get(cell), op.i32(stride), op.i32Add, op.set(cell)],
      [op.get(inner), op.i32(BLOCK * PAIR), op.i32Add, op.set(inner)],
      [op.get(inner), op.i32(count * PAIR), op.i32LtU],
    ]),
  ];
}

function trackRange(
  { least, largest }: Pick<Layout, "least" | "largest">,
  sum: number,
): Code {
  const at = (address: number): Code => [op.i32(0), op.load(address)];
  return [
    [op.i32(0), at(least), op.get(sum), op.f64x2Min, op.store(least)],
    [op.i32(0), at(largest), op.get(sum), op.f64x2Max, op.store(largest)],
  ];
}

function eachOfBlock(code: (lane: number) => Code): Code {
  return Array.from({ length: BLOCK }, (_, lane) => code(lane));
}
