import assert from "node:assert/strict";
import { type SinkhornPair, sinkhornPair } from "./sinkhorn_pair.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";

/** Fill both lanes with problems whose K is anything, and u = v = 1. */
function fill(pair: SinkhornPair, rows: number, cols: number): void {
  const random = mulberry32(rows * cols);
  for (let lane = 0; lane < 2; lane++) {
    for (let i = 0; i < pair.rows; i++) {
      const isPadding = i >= rows;
      pair.a[2 * i + lane] = isPadding ? 0 : random();
      pair.u[2 * i + lane] = isPadding ? 0 : 1;
      for (let j = 0; j < cols; j++) {
        pair.kernel[2 * (i * cols + j) + lane] = isPadding ? 1 : random();
      }
    }
    for (let j = 0; j < cols; j++) {
      pair.b[2 * j + lane] = random();
      pair.v[2 * j + lane] = 1;
    }
    pair.least[lane] = pair.largest[lane] = 1;
    pair.threshold[lane] = -1;
    gather(pair, lane);
  }
}

function gather(
  { kernel, u, gathered, rows, cols }: SinkhornPair,
  lane: number,
) {
  for (let j = 0; j < cols; j++) {
    let sum = 0;
    for (let i = 0; i < rows; i++) {
      sum += kernel[2 * (i * cols + j) + lane]! * u[2 * i + lane]!;
    }
    gathered[2 * j + lane] = sum;
  }
}

/** One iteration, as one would write it. */
function iterate(pair: SinkhornPair, lane: number): void {
  const { kernel, a, b, u, v, gathered, error, rows, cols } = pair;
  for (let j = 0; j < cols; j++) {
    v[2 * j + lane] = b[2 * j + lane]! / gathered[2 * j + lane]!;
  }
  error[lane] = 0;
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < cols; j++) {
      sum += kernel[2 * (i * cols + j) + lane]! * v[2 * j + lane]!;
    }
    error[lane]! += Math.abs(u[2 * i + lane]! * sum - a[2 * i + lane]!);
    u[2 * i + lane] = a[2 * i + lane]! / sum;
  }
  gather(pair, lane);
}

// Written out and in loops; in blocks of 4 to 8 rows, with and without padding.
for (const [rows, cols] of [[10, 10], [11, 3], [1, 1], [19, 17], [35, 8]]) {
  Deno.test(`sinkhornPair() has the bits of a plain loop at ${rows} x ${cols}`, () => {
    const actual = sinkhornPair(rows!, cols!);
    const expected = sinkhornPair(rows!, cols!);
    fill(actual, rows!, cols!);
    fill(expected, rows!, cols!);
    assert.equal(actual.iterate(7), 7);
    for (let time = 0; time < 7; time++) {
      for (const lane of [0, 1]) iterate(expected, lane);
    }
    for (const name of ["u", "v", "gathered", "error"] as const) {
      assert.deepEqual(actual[name], expected[name], name);
    }
  });
}

Deno.test("sinkhornPair() stops where a sum leaves f64's range, NaNs or not", () => {
  for (const size of [10, 20]) {
    const pair = sinkhornPair(size, size);
    fill(pair, size, size);
    // Column 3 of the second problem gathers nothing: v is infinite, then NaN.
    pair.gathered[2 * 3 + 1] = 0;
    assert.equal(pair.iterate(7), 1);
    assert.equal(pair.least[1], 0);
    assert.ok(pair.least[0]! > 0);
  }
});
