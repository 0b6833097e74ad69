import assert from "node:assert/strict";
import type { PackedRow } from "#/shards/mod.ts";
import { spanBits } from "#/stages/train/spans.ts";

const LN2 = Math.LN2;

/** Two documents of 5 and 3 positions, then padding; bits of the labels. */
function rowOf(teachers: Record<string, number[] | undefined>): PackedRow {
  const said = (bits: number[] | undefined) => ({
    topK: 1,
    topkIds: new Int32Array(9),
    topkLogprobs: new Float32Array(9),
    weight: new Float32Array(9).fill(1),
    bitsPerByte: new Float32Array(9).fill(1),
    ...bits && { labelLogprobs: Float32Array.from(bits, (b) => -b * LN2) },
  });
  return {
    inputIds: new Int32Array(9),
    labels: Int32Array.of(1, 2, 3, 4, -100, 1, 2, -100, -100),
    document: Int32Array.of(0, 0, 0, 0, 0, 1, 1, 1, -1),
    position: Int32Array.of(0, 1, 2, 3, 4, 0, 1, 2, 0),
    teachers: Object.fromEntries(
      Object.entries(teachers).map(([name, bits]) => [name, said(bits)]),
    ),
  };
}

const target = [1, 2, 3, 4, NaN, 5, 6, NaN, NaN];

Deno.test("spanBits() compares teachers over the same bytes", () => {
  const a = [7, NaN, 1, 2, NaN, NaN, 3, NaN, NaN];
  const b = [5, 3, NaN, 9, NaN, NaN, NaN, NaN, NaN];
  const bits = spanBits(rowOf({ target, a, b }), ["target", "a", "b"], "row 0");
  const rounded = (name: string) =>
    Array.from(bits.get(name)!, (value) => Math.round(value * 1e4) / 1e4);
  // Spans 0–2 and 3 of the first document; b is silent in the second one.
  assert.deepEqual(rounded("target"), [
    ...[2, 2, 2, 4, 4],
    ...[NaN, 6, 6, NaN],
  ]);
  assert.deepEqual(rounded("a"), [
    ...[2.6667, 2.6667, 2.6667, 2, 2],
    ...[NaN, 3, 3, NaN],
  ]);
  assert.deepEqual(rounded("b"), [
    ...[2.6667, 2.6667, 2.6667, 9, 9],
    ...[NaN, NaN, NaN, NaN],
  ]);
});

Deno.test("spanBits() is the label's own bits where the target is alone", () => {
  const bits = spanBits(rowOf({ target }), ["target"], "row 0");
  const own = Array.from(bits.get("target")!, (b) => Math.round(b));
  assert.deepEqual(own, [1, 2, 3, 4, 4, 5, 6, 6, NaN]);
});

Deno.test("spanBits() refuses rows of an earlier version", () => {
  assert.throws(
    () => spanBits(rowOf({ target, old: undefined }), ["target", "old"], "r"),
    /^RangeError: Cannot weigh old by span in r: the dataset does not have/,
  );
});
