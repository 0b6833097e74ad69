import assert from "node:assert/strict";
import type { PackedRow } from "#/shards/mod.ts";
import { publishedShares } from "#/stages/train/reference/published_shares.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  chunkMetrics,
  fusionAsPublished,
  type FusionDefects,
  referenceAvgCe,
  referenceMinCe,
} from "./reference_fusion.ts";

const without = (...names: (keyof FusionDefects)[]): FusionDefects => ({
  ...fusionAsPublished,
  ...Object.fromEntries(names.map((name) => [name, false])),
});

Deno.test("chunkMetrics() takes one mean for all documents of a chunk", () => {
  assert.deepEqual(chunkMetrics([1, 1, 4, NaN]), [2, 2, 2, 2]);
  assert.deepEqual(chunkMetrics([1, 1, 4], without("chunk-choice")), [1, 1, 4]);
});

Deno.test("referenceMinCe() cannot tell close models apart, as published", () => {
  const metrics = [2.504, 2.502];
  assert.deepEqual(referenceMinCe(metrics, { hasTarget: true }), [1, 0]);
  assert.deepEqual(
    referenceMinCe([2.502, 2.504], { hasTarget: false }),
    [0, 1],
  );
  const defects = without("bf16-rewards");
  assert.deepEqual(
    referenceMinCe(metrics, { hasTarget: true, defects }),
    [0, 1],
  );
  assert.deepEqual(
    referenceMinCe([2.502, 2.504], { hasTarget: false, defects }),
    [1, 0],
  );
  assert.deepEqual(
    referenceMinCe([3, 1, 2], { hasTarget: false }),
    [0, 1, 0],
  );
});

Deno.test("referenceAvgCe() shares out nearly evenly, as published", () => {
  const hasTarget = true;
  assert.deepEqual(
    referenceAvgCe([2, 6], { hasTarget }),
    [0.53515625, 0.466796875],
  );
  const defects = without("bf16-rewards", "softmax-of-rewards");
  assertAllClose(
    referenceAvgCe([2, 6], { hasTarget, defects, temperature: 2 }),
    [1 / (1 + Math.exp(-2)), 1 / (1 + Math.exp(2))],
    { rtol: 1e-15, atol: 0 },
  );
});

/** Two documents and padding. Per byte the source is better in the second only. */
const row = {
  inputIds: new Int32Array(5),
  labels: new Int32Array(5),
  document: Int32Array.of(0, 1, 1, 1, -1),
  position: new Int32Array(5),
  teachers: {
    gpt2: teacher([3, 1, 1, 1, 0], [3, 3, 3, 3, 0]),
    target: teacher([2, 2, 2, 2, 0], [4, 1, 1, 1, 0]),
  },
} satisfies PackedRow;

function teacher(bitsPerByte: number[], natsPerToken: number[]) {
  return {
    topK: 0,
    topkIds: new Int32Array(0),
    topkLogprobs: new Float32Array(0),
    weight: new Float32Array(5).fill(1),
    bitsPerByte: Float32Array.from(bitsPerByte),
    natsPerToken: Float32Array.from(natsPerToken),
  };
}

function sharesOf(...off: (keyof FusionDefects)[]) {
  const names = ["gpt2", "target"];
  const shares = publishedShares(row, names, referenceMinCe, {
    defects: without(...off),
    temperature: 1,
    where: "a, row 0",
  });
  return [...shares.get("gpt2")!];
}

Deno.test("publishedShares() choose by document or row, byte or token", () => {
  const byByte = "loss-per-token";
  assert.deepEqual(sharesOf(byByte, "chunk-choice"), [0, 1, 1, 1, 0]);
  // 3 + 3 · 1 bits against 4 · 2.
  assert.deepEqual(sharesOf(byByte), [1, 1, 1, 1, 0]);
  assert.deepEqual(sharesOf("chunk-choice"), [1, 0, 0, 0, 0]);
  assert.deepEqual(sharesOf(), [0, 0, 0, 0, 0]);
});

Deno.test("publishedShares() throw where losses per token are not kept", () => {
  const { natsPerToken: _, ...others } = row.teachers.target;
  const lacking = { ...row, teachers: { ...row.teachers, target: others } };
  assert.throws(
    () =>
      publishedShares(lacking, ["gpt2", "target"], referenceMinCe, {
        defects: fusionAsPublished,
        temperature: 1,
        where: "a, row 0",
      }),
    new RangeError(
      "Cannot weigh target by its loss per token in a, row 0: the dataset does " +
        "not have it, expected one that pack has written with " +
        "--source-representations",
    ),
  );
});
