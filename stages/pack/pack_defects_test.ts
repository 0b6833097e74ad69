import assert from "node:assert/strict";
import type { PackedRow } from "#/shards/mod.ts";
import { natsPerToken } from "#/stages/pack/nats_per_token.ts";
import { pack, packDefects } from "#/stages/pack/pack.ts";
import { switchesOf } from "#/stages/reference_switches.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { alignedRows, representationRows } from "#/tests/shard_rows.ts";

/** Blocks of 2, 3, 4, 5 and 6 tokens. */
const blocks = representationRows(5);
const sources = () => [{ name: "gpt2", rows: alignedRows(blocks) }];

async function packed(names: string, length: number): Promise<PackedRow[]> {
  const defects = switchesOf(packDefects, [names]);
  return await Array.fromAsync(
    pack(blocks, sources(), { length, defects }),
  );
}

Deno.test("pack() cuts blocks at the ends of rows, as published", async () => {
  const rows = await packed("cut-documents", 8);
  assert.deepEqual(rows.map(({ document }) => [...document]), [
    [0, 0, 1, 1, 1, 2, 2, 2],
    [0, 1, 1, 1, 1, 1, 2, 2],
    [0, 0, 0, 0, -1, -1, -1, -1],
  ]);
  const ids = rows.flatMap(({ inputIds, document }) =>
    [...inputIds].filter((_, at) => document[at]! >= 0)
  );
  assert.deepEqual(ids, blocks.flatMap(({ inputIds }) => [...inputIds]));
  // The third block is cut before its last token.
  assert.deepEqual([...rows[0]!.labels].slice(5), [21, 22, -100]);
  assert.deepEqual([...rows[0]!.position].slice(5), [0, 1, 2]);
  const { gpt2 } = rows[0]!.teachers;
  assert.deepEqual([...gpt2!.weight].slice(5), [1, 0, 1]);
  assert.deepEqual([...gpt2!.labelLogprobs!].slice(5), [-0, NaN, NaN]);
  assert.deepEqual([...gpt2!.topkIds.subarray(14)], [4, 5]);
});

Deno.test("pack() lets blocks see each other, as published", async () => {
  const [row] = await packed("attention-across", 9);
  assert.deepEqual([...row!.document], [...Array(9).fill(0)]);
  assert.deepEqual([...row!.position], [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual([...row!.labels].slice(0, 3), [1, -100, 11]);
});

Deno.test("pack() lets a block predict the next one, as published", async () => {
  const [row] = await packed("labels-across", 10);
  assert.deepEqual([...row!.labels], [
    ...[1, 10, 11, 12, 20],
    ...[21, 22, 23, -100, -100],
  ]);
  assert.deepEqual([...row!.document].slice(0, 3), [0, 0, 1]);
});

Deno.test("pack() starts anew after a thousand blocks, as published", async () => {
  const many = representationRows(1001);
  const defects = switchesOf(packDefects, ["map-batches"]);
  const whole = await Array.fromAsync(pack(many, [], { length: 8 }));
  const rows = await Array.fromAsync(pack(many, [], { length: 8, defects }));
  const last = rows.at(-1)!;
  assert.deepEqual([...last.inputIds].slice(0, 3), [10_000, 10_001, 0]);
  assert.notDeepEqual([...whole.at(-1)!.inputIds], [...last.inputIds]);
});

Deno.test("natsPerToken() takes the mean over tokens, in f16 as published", () => {
  const labelLogprobs = [-1.0004, -3.0004, NaN];
  assert.equal(natsPerToken(labelLogprobs, true), 2);
  assertAllClose([natsPerToken(labelLogprobs)], [2.0004], {
    rtol: 1e-15,
    atol: 0,
  });
});

Deno.test("pack() keeps the loss per token of all whose representations it has", async () => {
  // Another tokenizer: twice the tokens, of which each costs a half.
  const theirs = blocks.map((block) => ({
    ...block,
    labelLogprobs: Float32Array.of(-0.5, -0.5, -0.5, NaN),
  }));
  const [source] = sources();
  const all = { ...source!, representations: theirs };
  const rows = await Array.fromAsync(pack(blocks, [all], { length: 6 }));
  const row = rows.find(({ inputIds }) => inputIds[0] === 0);
  // Blocks of two and three tokens: labels at 0 nats, and at 0 and 1/8.
  assert.deepEqual([...row!.teachers.target!.natsPerToken!], [
    ...[0, 0, 1 / 16, 1 / 16, 1 / 16, 0],
  ]);
  assert.deepEqual([...row!.teachers.gpt2!.natsPerToken!], [
    ...[0.5, 0.5, 0.5, 0.5, 0.5, 0],
  ]);
  const other = { ...source!, representations: theirs.slice(1) };
  await assert.rejects(
    Array.fromAsync(pack(blocks, [other], { length: 6 })),
    new RangeError(
      "Cannot pack gpt2: row 0 of its representations is block block 1, " +
        "expected block 0 as in the target's representations",
    ),
  );
  theirs[2]!.labelLogprobs = Float32Array.of(NaN);
  await assert.rejects(
    Array.fromAsync(pack(blocks, [all], { length: 6 })),
    /Cannot pack row 2, block block 2: nats_per_token of gpt2 is NaN/,
  );
});
