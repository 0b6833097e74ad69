/**
 * Write out a shader whose lines stand for several, so that what would be an
 * array is scalars.
 *
 * A line that holds `{i}` is repeated for every row, one that holds `{j}` for
 * every column, one that holds both for every cell, rows outermost.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { expandLines } from "#/kernels/sinkhorn/expand_lines.ts";
 *
 * assert.equal(
 *   expandLines("sum_{i} += k_{i}_{j};", 1, 2),
 *   "sum_0 += k_0_0;\nsum_0 += k_0_1;",
 * );
 * ```
 *
 * @param code The lines.
 * @param rows Values of `{i}`, from 0.
 * @param cols Values of `{j}`, from 0.
 * @returns The code of that size.
 */
export function expandLines(code: string, rows: number, cols: number): string {
  const over = (lines: string[], name: string, count: number) =>
    lines.flatMap((line) =>
      line.includes(name)
        ? Array.from({ length: count }, (_, i) => line.replaceAll(name, `${i}`))
        : [line]
    );
  const lines = code.replaceAll(/\/\/.*/g, "").split("\n");
  return over(over(lines, "{i}", rows), "{j}", cols).join("\n");
}
