import { wasmModule } from "#/kernels/wasm.ts";
import { iterateFunction, layoutOf } from "./sinkhorn_iteration.ts";

export { RANGE } from "./sinkhorn_iteration.ts";

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
  const bytes = wasmModule(
    [iterateFunction(layout)],
    Math.ceil(layout.end / 65_536),
  );
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
