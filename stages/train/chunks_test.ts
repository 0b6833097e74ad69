import assert from "node:assert/strict";
import { chunkLogprobs } from "#/stages/train/chunks.ts";

const teacher = (bits: number[], labelLogprobs: number[]) => ({
  topK: 0,
  topkIds: new Int32Array(0),
  topkLogprobs: new Float32Array(0),
  weight: Float32Array.from(labelLogprobs, (one) => isNaN(one) ? 0 : 1),
  bitsPerByte: Float32Array.from(bits),
  labelLogprobs: Float32Array.from(labelLogprobs),
});
const row = {
  inputIds: new Int32Array(5),
  labels: new Int32Array(5),
  position: new Int32Array(5),
  document: Int32Array.of(0, 0, 0, 1, -1),
  teachers: {
    a: teacher([1, 1, 1, 3, 0], [-1, NaN, -2, -3, NaN]),
    b: teacher([2, 2, 2, 2, 0], [-4, -5, -6, -7, NaN]),
  },
};
const nameOf = (b: number) => `row ${b}`;

Deno.test("chunkLogprobs() takes a document's chunks of its best teacher", () => {
  assert.deepEqual(
    [...chunkLogprobs([row], ["a", "b"], 5, nameOf)],
    [-1, NaN, -2, -7, NaN],
  );
  assert.deepEqual(
    [...chunkLogprobs([row, row], ["b"], 3, nameOf)],
    [-4, -5, -6, -4, -5, -6],
  );
});

Deno.test("chunkLogprobs() throws where labels were not packed", () => {
  const { labelLogprobs: _, ...old } = row.teachers.a;
  assert.throws(
    () => chunkLogprobs([{ ...row, teachers: { a: old } }], ["a"], 5, nameOf),
    new RangeError(
      "Cannot learn from chunks of a in row 0: it has no label_logprobs, " +
        "expected data that pack has written with them",
    ),
  );
});
