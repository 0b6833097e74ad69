import assert from "node:assert/strict";
import { add, gemm, mul, peakBytes, reshape, Tape } from "#/onnx/mod.ts";

Deno.test("peakBytes() counts what is alive at one time", () => {
  const tape = new Tape();
  const x = tape.input("x", "float32", ["N", 3]);
  const w = tape.input("w", "float32", [3, 5]);
  const y = gemm(x, w);
  // The sum writes over y's product with itself; y lives on.
  tape.output(add(mul(y, y), y), "z");
  assert.equal(peakBytes(tape, { N: 7 }), 2 * 7 * 5 * 4);
});

Deno.test("peakBytes() counts no view, no input and nothing that is not needed", () => {
  const tape = new Tape();
  const x = tape.input("x", "float32", ["N", "2*T"]);
  add(x, x);
  tape.output(reshape(mul(x, 2), ["2*T", "N"]), "y");
  assert.equal(peakBytes(tape, { N: 3, T: 5 }), 3 * 10 * 4 + 8 * 4);
});

Deno.test("peakBytes() names a size it does not know", () => {
  const tape = new Tape();
  tape.output(mul(tape.input("x", "float32", ["N"]), 2), "y");
  assert.throws(() => peakBytes(tape, { B: 1 }), /size N is not given/);
});

Deno.test("peakBytes() does not count what the caller has room for", () => {
  const tape = new Tape();
  const x = tape.input("x", "float32", ["N", 3]);
  tape.output(mul(add(x, 1), 2), "y");
  tape.output(add(x, x), "z");
  const peak = (elsewhere?: string[]) =>
    peakBytes(tape, { N: 7 }, elsewhere) / (7 * 3 * 4);
  assert.deepEqual([peak(), peak(["z"]), peak(["y", "z"])], [2, 1, 1]);
});
