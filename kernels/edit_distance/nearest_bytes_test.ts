import assert from "node:assert/strict";
import fc from "fast-check";
import { editDistance } from "#/kernels/edit_distance/edit_distance.ts";
import { NearestBytes } from "#/kernels/edit_distance/nearest_bytes.ts";

/** Short ones, some around the length from which bytes are not counted, and some with other bytes. */
const bytes = fc.oneof(
  fc.uint8Array({ max: 4, maxLength: 9 }),
  fc.uint8Array({ max: 2, minLength: 16, maxLength: 23 }),
  fc.uint8Array({ max: 1, minLength: 29, maxLength: 35 }),
  fc.uint8Array({ min: 250, maxLength: 5 }),
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

Deno.test("NearestBytes.find() prefers what is near to what has the same bytes", () => {
  const strings = ["dcba", "bdac", "abce"].map((text) =>
    new TextEncoder().encode(text)
  );
  const query = new TextEncoder().encode("abcd");
  assert.deepEqual(new NearestBytes(strings).find(query), {
    index: 2,
    distance: 1,
  });
});

Deno.test("NearestBytes.find() takes the first of more strings than a word has bits", () => {
  // All of one length, so that several words are counted; equally near are 35 and 70.
  const strings = Array.from({ length: 100 }, (_, k) => Uint8Array.of(1, k, 9));
  strings[35] = strings[70] = Uint8Array.of(200, 201, 203);
  assert.deepEqual(
    new NearestBytes(strings).find(Uint8Array.of(200, 201, 202)),
    { index: 35, distance: 1 },
  );
});

Deno.test("NearestBytes() throws if there are no strings", () => {
  assert.throws(() => new NearestBytes([]), RangeError);
});
