import assert from "node:assert/strict";
import fc from "fast-check";
import { lastEnd, positionPairs } from "#/stages/align/position_pairs.ts";

const pairsOf = (target: number[], source: number[]) => {
  const pairs = positionPairs(Int32Array.from(target), Int32Array.from(source));
  return [...pairs.target].map((t, k) => [t, pairs.source[k]]);
};

/** Offsets of some tokens of one text, zero-byte tokens among them. */
const ends = (bytes: number) =>
  fc.array(fc.integer({ min: 0, max: bytes }), { maxLength: 20 })
    .map((cuts) => [0, ...cuts, bytes].sort((x, y) => x - y));

Deno.test("positionPairs() pairs the last labelled rows of every common offset", () => {
  fc.assert(fc.property(ends(12), ends(12), (target, source) => {
    const lastAt = (offsets: number[], offset: number) =>
      offsets.slice(0, -1).lastIndexOf(offset);
    const expected = Array.from({ length: 13 }, (_, offset) => [
      lastAt(target, offset),
      lastAt(source, offset),
    ]).filter(([t, s]) => t! >= 0 && s! >= 0);
    assert.deepEqual(pairsOf(target, source), expected);
  }));
});

Deno.test("positionPairs() pairs every labelled row of a sequence with itself", () => {
  assert.deepEqual(pairsOf([0, 3, 5, 9], [0, 3, 5, 9]), [[0, 0], [1, 1], [
    2,
    2,
  ]]);
});

Deno.test("positionPairs() never pairs a row without a label", () => {
  // The target ends with EOS, the source has none: its last row has no label.
  assert.deepEqual(pairsOf([0, 4, 4], [0, 4]), [[0, 0]]);
  assert.deepEqual(pairsOf([0], [0]), []);
  assert.deepEqual(pairsOf([], []), []);
});

Deno.test("positionPairs() leaves a row without a source token's end alone", () => {
  assert.deepEqual(pairsOf([0, 1, 2, 3, 4], [0, 2, 4, 4]), [[0, 0], [2, 1]]);
});

Deno.test("lastEnd() leaves out labels without bytes behind the text", () => {
  const end = (ends: number[], first: number) =>
    lastEnd(Int32Array.from(ends), first);
  assert.equal(end([0, 2, 5], 0), 2);
  // An EOS that the other side does not have.
  assert.equal(end([0, 2, 5, 5], 0), 2);
  assert.equal(end([0, 2, 5, 5], 1), 2);
  // One that it has is a pair of its own.
  assert.equal(end([0, 2, 5, 5], 2), 3);
});
