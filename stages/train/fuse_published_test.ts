import assert from "node:assert/strict";
import type { PackedRow, PackedTeacher } from "#/shards/mod.ts";
import { switchesOf } from "#/stages/reference_switches.ts";
import { stackRows } from "#/stages/train/batches.ts";
import type { FusionName } from "#/stages/train/fusions/mod.ts";
import { fuseRows } from "#/stages/train/fuse_rows.ts";
import { trainDefects } from "#/stages/train/reference/train_defects.ts";
import { assertAllClose } from "#/tests/allclose.ts";

/** Two documents of two tokens, and what two teachers say of the first of each. */
const row: PackedRow = {
  inputIds: Int32Array.of(1, 2, 3, 4),
  labels: Int32Array.of(2, -100, 4, -100),
  document: Int32Array.of(0, 0, 1, 1),
  position: Int32Array.of(0, 1, 0, 1),
  teachers: {
    a: teacher(10, [1, 1, 2, 2], [1, 0, 1, 0]),
    b: teacher(20, [2, 2, 0.5, 0.5], [1, 0, 0, 0]),
  },
};

function teacher(
  id: number,
  bitsPerByte: number[],
  weight: number[],
): PackedTeacher {
  return {
    topK: 1,
    topkIds: new Int32Array(4).fill(id),
    topkLogprobs: new Float32Array(4).fill(Math.log(0.64)),
    weight: Float32Array.from(weight),
    bitsPerByte: Float32Array.from(bitsPerByte),
  };
}

function fused(fusion: FusionName, names: string, teacherTemperature = 1) {
  const batch = stackRows([row], 1);
  fuseRows(batch, [row], {
    ...{ fusion, fusionTemperature: 1, teachers: ["a", "b"], lmWeight: 0.5 },
    lmWeightSchedule: "fixed",
    defects: switchesOf(trainDefects, [names]),
    teacherTemperature,
  }, { vocabSize: 101, progress: 0, nameOf: () => "row 0" });
  return batch;
}

Deno.test("fuseRows() chooses one teacher for all of a row, as published", () => {
  const corrected = fused("min-ce", "none").fused!;
  // The second document is b's, but it has no pair there.
  assert.deepEqual([corrected.ids[0], corrected.ids[2]], [10, 10]);
  const { fused: chosen, labelWeight } = fused("min-ce", "chunk-choice");
  assert.deepEqual([chosen!.ids[0], chosen!.ids[2]], [20, -1]);
  assert.deepEqual([...chosen!.weight], [0.5, 0, 0, 0]);
  // A row that its teacher says nothing about learns from its label.
  assert.deepEqual([...labelWeight], [0.5, 0, 1, 0]);
});

Deno.test("fuseRows() mixes nearly evenly, as published", () => {
  const { ids, probs, weight } = fused("avg-ce", "softmax-of-rewards").fused!;
  const [first, second] = [Math.exp(-1), Math.exp(-2)].map(Math.exp);
  const share = first! / (first! + second!);
  const even = 0.36 / 100;
  assert.deepEqual([...ids.subarray(0, 2)], [10, 20]);
  assertAllClose(
    probs.subarray(0, 2),
    [0.64 * share + even * (1 - share), 0.64 * (1 - share) + even * share],
    { rtol: 1e-6, atol: 0 }, // f32 storage
  );
  // Where b says nothing, what is its stays the label's.
  const [poor, good] = [Math.exp(-2), Math.exp(-0.5)].map(Math.exp);
  assertAllClose([weight[2]!], [0.5 * poor! / (poor! + good!)], {
    rtol: 1e-6,
    atol: 0,
  });
});

Deno.test("fuseRows() tempers teachers alone, as published", () => {
  const { probs, residual } = fused("min-ce", "teacher-temperature", 2).fused!;
  // √0.64 against a hundred tokens of √0.0036.
  assertAllClose([probs[0]!, residual[0]!], [0.8 / 6.8, 6 / 6.8], {
    rtol: 1e-6, // f32 storage
    atol: 0,
  });
});
