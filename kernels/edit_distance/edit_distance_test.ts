import assert from "node:assert/strict";
import fc from "fast-check";
import {
  editDistance,
  EditPattern,
} from "#/kernels/edit_distance/edit_distance.ts";

/** The textbook table, one row at a time. */
function table(first: Uint8Array, second: Uint8Array): number {
  let above = Array.from({ length: second.length + 1 }, (_, j) => j);
  first.forEach((byte, i) => {
    const row = [i + 1];
    second.forEach((other, j) => {
      const substitution = above[j]! + (byte === other ? 0 : 1);
      row.push(Math.min(substitution, above[j + 1]! + 1, row[j]! + 1));
    });
    above = row;
  });
  return above.at(-1)!;
}

/** Few different bytes, so that much matches; lengths around the word size. */
const bytes = fc.oneof(
  fc.uint8Array({ max: 3, maxLength: 12 }),
  fc.uint8Array({ max: 3, minLength: 29, maxLength: 36 }),
  fc.uint8Array({ max: 7, minLength: 60, maxLength: 135 }),
  fc.uint8Array({ maxLength: 70 }),
);

Deno.test("editDistance() matches the dynamic program", () => {
  fc.assert(
    fc.property(bytes, bytes, (first, second) => {
      assert.equal(editDistance(first, second), table(first, second));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("EditPattern.distance() is exact up to the most, and above it beyond", () => {
  const most = fc.integer({ min: 0, max: 40 });
  fc.assert(
    fc.property(bytes, bytes, most, (first, second, most) => {
      const expected = table(first, second);
      const actual = new EditPattern(first).distance(second, most);
      if (expected <= most) assert.equal(actual, expected);
      else assert.ok(actual > most);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("editDistance() is a metric", () => {
  fc.assert(fc.property(bytes, bytes, bytes, (x, y, z) => {
    assert.equal(editDistance(x, x), 0);
    assert.equal(editDistance(x, y), editDistance(y, x));
    assert.ok(editDistance(x, z) <= editDistance(x, y) + editDistance(y, z));
  }));
});

Deno.test("editDistance() to nothing is the length", () => {
  for (const length of [0, 1, 31, 32, 33, 64, 1009]) {
    const text = new Uint8Array(length).fill(65);
    assert.equal(editDistance(text, new Uint8Array(0)), length);
  }
});
