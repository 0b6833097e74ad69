import assert from "node:assert/strict";
import fc from "fast-check";
import type { PackedRow, RepresentationRow } from "#/shards/mod.ts";
import { pack } from "#/stages/pack/pack.ts";
import { alignedRows, representationRows } from "#/tests/shard_rows.ts";

const LENGTH = 17;

/** Blocks of arbitrary lengths up to a whole row. */
const blocks = fc.array(fc.integer({ min: 1, max: LENGTH }), { maxLength: 40 })
  .map((lengths) => lengths.map(blockOf));

const openRows = fc.constantFrom(1, 2, 3, 32);

function blockOf(length: number, index: number): RepresentationRow {
  return {
    id: `block ${index}`,
    textHash: "",
    inputIds: Int32Array.from({ length }, (_, t) => index * 100 + t),
    byteEnds: Int32Array.from({ length }, (_, t) => t),
    topK: 2,
    topkIds: Int32Array.from({ length: length * 2 }, (_, entry) => entry),
    topkLogprobs: Float32Array.from({ length: length * 2 }, (_, e) => -e / 4),
    labelLogprobs: new Float32Array(length),
    bitsPerByte: index,
  };
}

/** The blocks found in rows, by position and document id alone. */
function unpacked(rows: readonly PackedRow[]): number[][] {
  return rows.flatMap(({ inputIds, document, position }) => {
    const found: number[][] = [];
    inputIds.forEach((id, at) => {
      if (document[at]! < 0) return;
      const block = found[document[at]!] ??= [];
      assert.equal(position[at], block.length);
      block.push(id);
    });
    return found;
  });
}

Deno.test("pack() keeps every token of every block once and in order", async () => {
  await fc.assert(
    fc.asyncProperty(blocks, openRows, async (blocks, openRows) => {
      const rows = await Array.fromAsync(
        pack(blocks, [], { length: LENGTH, openRows }),
      );
      const found = unpacked(rows).sort((a, b) => a[0]! - b[0]!);
      assert.deepEqual(found, blocks.map(({ inputIds }) => [...inputIds]));
      for (const { inputIds } of rows) assert.equal(inputIds.length, LENGTH);
    }),
  );
});

Deno.test("pack() never labels a position with a token of another block", async () => {
  await fc.assert(
    fc.asyncProperty(blocks, openRows, async (blocks, openRows) => {
      const rows = pack(blocks, [], { length: LENGTH, openRows });
      for await (const { inputIds, labels, document } of rows) {
        labels.forEach((label, at) => {
          const isLast = document[at] !== document[at + 1];
          const expected = document[at]! < 0 || isLast
            ? -100
            : inputIds[at + 1];
          assert.equal(label, expected);
        });
      }
    }),
  );
});

Deno.test("pack() lays every teacher on the tokens it speaks about", async () => {
  const target = representationRows(20);
  const aligned = alignedRows(target);
  const byFirstId = new Map(target.map((row, i) => [row.inputIds[0], i]));
  const rows = pack(target, [{ name: "gpt2", rows: aligned }], {
    length: LENGTH,
  });
  for await (const { inputIds, document, teachers } of rows) {
    document.forEach((id, at) => {
      const start = document.indexOf(id);
      const t = at - start;
      const index = byFirstId.get(inputIds[start])!;
      for (const [name, teacher] of Object.entries(teachers)) {
        const { topK } = teacher;
        const expected = name === "target" ? target[index] : aligned[index];
        const packed = teacher.topkIds.subarray(at * topK, (at + 1) * topK);
        if (id < 0) {
          assert.ok(packed.every((id) => id === -1));
          assert.equal(teacher.topkLogprobs[at * topK], -Infinity);
          assert.equal(teacher.weight[at], 0);
          continue;
        }
        const from = expected!.topkIds.subarray(t * topK, (t + 1) * topK);
        assert.deepEqual(packed, from);
        assert.equal(teacher.bitsPerByte[at], expected!.bitsPerByte);
        const isLast = t === target[index]!.inputIds.length - 1;
        const weight = name === "target"
          ? Number(!isLast)
          : aligned[index]!.weight[t];
        assert.equal(teacher.weight[at], weight);
      }
    });
  }
});

Deno.test("pack() fills the first open row with room", async () => {
  const blocks = [5, 4, 3, 2].map(blockOf);
  const rows = await Array.fromAsync(pack(blocks, [], { length: 8 }));
  assert.deepEqual(
    rows.map(({ document }) => [...document]),
    [[0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, -1, -1]],
  );
});

Deno.test("pack() makes no row of no block", async () => {
  assert.deepEqual(await Array.fromAsync(pack([])), []);
});

Deno.test("pack() throws if a block is longer than a row", async () => {
  await assert.rejects(
    Array.fromAsync(pack([4, 9].map(blockOf), [], { length: 8 })),
    new RangeError(
      "Cannot pack row 1, block block 1: it has 9 tokens, expected at most " +
        "8: give a larger --length",
    ),
  );
});

Deno.test("pack() throws if a source is not in step with the target", async () => {
  const target = representationRows(3);
  const aligned = alignedRows(target);
  const packed = (rows: typeof aligned) =>
    Array.fromAsync(pack(target, [{ name: "mpt", rows }], { length: LENGTH }));
  await assert.rejects(packed([aligned[0]!, aligned[2]!]), {
    name: "RangeError",
    message: "Cannot pack mpt: row 1 is block block 2, expected block 1 as " +
      "in the target's representations",
  });
  await assert.rejects(packed(aligned.slice(0, 2)), {
    message: "Cannot pack mpt: it ends before row 2, expected block block 2 " +
      "of the target's representations",
  });
  await assert.rejects(packed([...aligned, aligned[0]!]), {
    message: "Cannot pack mpt: it has more than 3 rows, expected 3 as the " +
      "target's representations",
  });
  await assert.rejects(
    packed([{ ...aligned[0]!, weight: new Float32Array(5) }]),
    {
      message: "Cannot pack mpt: row 0, block block 0, has 5 positions, " +
        "expected 2 as in the target's representations",
    },
  );
});

Deno.test("pack() throws on a NaN, or leaves its block out", async () => {
  const target = representationRows(4);
  const aligned = alignedRows(target);
  target[1]!.topkLogprobs[4] = NaN;
  aligned[2]!.bitsPerByte = NaN;
  const sources = [{ name: "mpt", rows: aligned }];
  await assert.rejects(
    Array.fromAsync(pack(target, sources, { length: LENGTH })),
    {
      name: "RangeError",
      message: "Cannot pack row 1, block block 1: topk_logprobs of target at " +
        "position 1 is NaN, expected a number (--filter-nan leaves such " +
        "blocks out)",
    },
  );
  const counts = { blocks: 0, dropped: 0, bytes: 0 };
  const rows = await Array.fromAsync(
    pack(target, sources, { length: LENGTH, filterNan: true }, counts),
  );
  assert.deepEqual(counts, { blocks: 2, dropped: 2, bytes: 1 + 4 });
  assert.deepEqual(unpacked(rows).map(([first]) => first), [0, 30]);
});

Deno.test("pack() keeps what every teacher makes of the labels, NaN elsewhere", async () => {
  const blocks = representationRows(2);
  const name = "a";
  const sources = [{ name, rows: alignedRows(blocks) }];
  const [row] = await Array.fromAsync(pack(blocks, sources, { length: 9 }));
  // Blocks of 2 and 3 positions; the source says something at every second one.
  const rest = [NaN, NaN, NaN, NaN];
  assert.deepEqual([...row!.teachers.target!.labelLogprobs!], [
    ...[-0, NaN, -0, -1 / 8, NaN],
    ...rest,
  ]);
  assert.deepEqual([...row!.teachers.a!.labelLogprobs!], [
    ...[-0, NaN, -0, NaN, NaN],
    ...rest,
  ]);
});
