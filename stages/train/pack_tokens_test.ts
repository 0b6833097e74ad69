import assert from "node:assert/strict";
import fc from "fast-check";
import { tokenPacker } from "#/stages/train/pack_tokens.ts";

const sequences = fc.array(
  fc.record({
    ids: fc.array(fc.integer({ min: 2, max: 99 }), { maxLength: 40 }),
    end: fc.constantFrom(undefined, 1),
  }),
  { maxLength: 12 },
);

Deno.test("tokenPacker() makes every token a label exactly once", () => {
  fc.assert(
    fc.property(sequences, fc.integer({ min: 2, max: 17 }), (all, length) => {
      const packer = tokenPacker(length, 0);
      all.forEach((sequence) => packer.add(sequence));
      const labels = packer.rows.flatMap((row) =>
        [...row.labels].filter((label) => label >= 0)
      );
      const expected = all.flatMap(({ ids, end }) =>
        end === undefined ? ids : [...ids, end]
      );
      assert.deepEqual(labels.sort(compare), expected.sort(compare));
    }),
  );
});

Deno.test("tokenPacker() starts every piece with the start token at position 0", () => {
  fc.assert(
    fc.property(sequences, fc.integer({ min: 2, max: 17 }), (all, length) => {
      const packer = tokenPacker(length, 0);
      all.forEach((sequence) => packer.add(sequence));
      for (const { inputIds, labels, document, position } of packer.rows) {
        for (let t = 0; t < length; t++) {
          const isNew = document[t] !== document[t - 1];
          if (document[t]! < 0) continue;
          assert.equal(position[t], isNew ? 0 : position[t - 1]! + 1);
          assert.equal(inputIds[t], isNew ? 0 : labels[t - 1]);
        }
      }
    }),
  );
});

Deno.test("tokenPacker() fills a gap with the first piece that fits", () => {
  const packer = tokenPacker(4, 0);
  for (const ids of [[5, 6, 7], [8, 9], [3]]) packer.add({ ids });
  const [first, second] = packer.rows;
  assert.deepEqual([...first!.inputIds], [0, 5, 6, 0]);
  assert.deepEqual([...first!.labels], [5, 6, 7, 3]);
  assert.deepEqual([...first!.document], [0, 0, 0, 1]);
  assert.deepEqual([...second!.document], [0, 0, -1, -1]);
  assert.deepEqual([...second!.labels], [8, 9, -100, -100]);
});

Deno.test("tokenPacker() predicts from a sequence's own first token where there is no start", () => {
  const packer = tokenPacker(2, undefined);
  packer.add({ ids: [4, 5, 6, 7] });
  assert.deepEqual(packer.rows.map(({ labels }) => [...labels]), [[5, 6], [
    7,
    -100,
  ]]);
});

function compare(a: number, b: number): number {
  return a - b;
}
