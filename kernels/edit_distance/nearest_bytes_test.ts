import assert from "node:assert/strict";
import fc from "fast-check";
import { editDistance } from "#/kernels/edit_distance/edit_distance.ts";
import { NearestBytes } from "#/kernels/edit_distance/nearest_bytes.ts";

/** Short ones, and some around the length from which strings are not hashed. */
const bytes = fc.oneof(
  fc.uint8Array({ max: 4, maxLength: 9 }),
  fc.uint8Array({ max: 2, minLength: 16, maxLength: 23 }),
);

Deno.test("NearestBytes.find() is the first of the nearest by brute force", () => {
  fc.assert(
    fc.property(
      fc.array(bytes, { minLength: 1, maxLength: 40 }),
      fc.array(bytes, { maxLength: 10 }),
      (strings, queries) => {
        const index = new NearestBytes(strings);
        for (const query of queries) {
          const distances = strings.map((each) => editDistance(query, each));
          const distance = Math.min(...distances);
          assert.deepEqual(index.find(query), {
            index: distances.indexOf(distance),
            distance,
          });
        }
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("NearestBytes.find() tells bytes apart that share a signature bit", () => {
  const strings = ["aaaa", "AAAA", "!!!!"].map((text) =>
    new TextEncoder().encode(text)
  );
  const query = new TextEncoder().encode("!!!a!!");
  assert.deepEqual(new NearestBytes(strings).find(query), {
    index: 2,
    distance: 2,
  });
});

Deno.test("NearestBytes() throws if there are no strings", () => {
  assert.throws(() => new NearestBytes([]), RangeError);
});
