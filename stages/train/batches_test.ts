import assert from "node:assert/strict";
import type { PackedRow } from "#/shards/mod.ts";
import { type BatchOptions, stepReader } from "#/stages/train/batches.ts";
import type { TrainingData } from "#/stages/train/training_data.ts";
import { assertAllClose } from "#/tests/allclose.ts";

const distillation = {
  fusion: "min-ce",
  fusionTemperature: 1,
  lmWeightSchedule: "fixed",
} as const;
const options: BatchOptions = {
  batchSize: 2,
  accumulate: 1,
  seed: 5,
  totalRows: 1000,
  vocabSize: 50,
};

Deno.test("stepReader() visits every row once an epoch, in another order each", async () => {
  const data = dataOf(Array.from({ length: 7 }, (_, i) => row([i, i + 1])));
  const read = stepReader(data, { ...options, batchSize: 1 });
  const visit = async (step: number) =>
    (await read(step)).batches[0]!.inputIds[0]!;
  const epochs: number[][] = [];
  for (let epoch = 0; epoch < 3; epoch++) {
    const steps = Array.from({ length: 7 }, (_, i) => epoch * 7 + i + 1);
    epochs.push(await Promise.all(steps.map(visit)));
  }
  for (const order of epochs) {
    assert.deepEqual([...order].sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6]);
  }
  assert.notDeepEqual(epochs[0], epochs[1]);
  assert.notDeepEqual(epochs[1], epochs[2]);
});

Deno.test("stepReader() weighs labels by the labelled rows of the whole update", async () => {
  const data = dataOf([row([1, 2, 3, 4]), row([5, 6])], 64);
  const read = stepReader(data, { ...options, batchSize: 1, accumulate: 2 });
  const { batches, labelled, tokens } = await read(1);
  assert.deepEqual([batches.length, labelled, tokens], [2, 4, 6]);
  for (const { labels, labelWeight } of batches) {
    assertAllClose(
      labelWeight,
      Array.from(labels, (label) => label < 0 ? 0 : 1 / 4),
      { rtol: 1e-7, atol: 0 }, // f32 storage
    );
  }
});

Deno.test("stepReader() ends with the last row, in a smaller batch", async () => {
  const data = dataOf([row([1, 2]), row([3, 4]), row([5, 6])]);
  const read = stepReader(data, { ...options, totalRows: 3 });
  assert.equal((await read(1)).batches[0]!.batch, 2);
  assert.equal((await read(2)).batches[0]!.batch, 1);
});

Deno.test("stepReader() trims padding to a multiple of 32", async () => {
  const data = dataOf([row([1, 2], 100), row(Array(40).fill(3), 100)]);
  const { batches: [batch] } = await stepReader(data, options)(1);
  assert.deepEqual([batch!.length, batch!.inputIds.length], [64, 128]);
});

Deno.test("stepReader() shares a taught row between label and teacher", async () => {
  const taught = row([1, 2, 3]);
  taught.teachers.target = teacher(taught, [0.5, 0, 0], [[4, 9], [1, 2], [
    1,
    2,
  ]]);
  const { batches: [batch] } = await stepReader(dataOf([taught]), {
    ...options,
    totalRows: 1,
    distillation: { ...distillation, teachers: ["target"], lmWeight: 0.25 },
  })(1);
  const { fused, labelWeight } = batch!;
  const tolerance = { rtol: 1e-6, atol: 0 }; // f32 storage
  // w = 1/2 and 1 − λ = 3/4 at row 0; rows 1 and 2 have no teacher or label.
  assertAllClose(labelWeight, [0.625 / 2, 0.5, 0], tolerance);
  assertAllClose(fused!.weight, [0.375 / 2, 0, 0], tolerance);
  assert.deepEqual([...fused!.ids], [4, 9, -1, -1, -1, -1]);
  assertAllClose(fused!.probs.subarray(0, 2), [0.5, 0.25], tolerance);
  assertAllClose(fused!.residual, [0.25, 0, 0], tolerance);
});

Deno.test("stepReader() leaves the label more from step to step where λ decays", async () => {
  const taught = row([1, 2]);
  taught.teachers.target = teacher(taught, [1, 0], [[4, 9], [1, 2]]);
  const read = stepReader(dataOf([taught]), {
    ...options,
    ...{ batchSize: 1, totalRows: 4 },
    distillation: {
      ...distillation,
      ...{ teachers: ["target"], lmWeight: 0.2, lmWeightSchedule: "decay" },
    },
  });
  const shares = [1, 2, 3, 4].map(async (step) =>
    (await read(step)).batches[0]!.labelWeight[0]!
  );
  assertAllClose(await Promise.all(shares), [0.2, 0.4, 0.6, 0.8], {
    rtol: 1e-6, // f32 storage
    atol: 0,
  });
});

Deno.test("stepReader() adapts λ to the target's own word, teacher or not", async () => {
  const taught = row([1, 2]);
  taught.teachers.a = teacher(taught, [1, 0], [[9, 2], [1, 2]]);
  const read = () =>
    stepReader(dataOf([taught]), {
      ...options,
      ...{ batchSize: 1, totalRows: 1 },
      distillation: {
        ...distillation,
        ...{ teachers: ["a"], lmWeight: 0, lmWeightSchedule: "adaptive" },
      },
    })(1);
  await assert.rejects(
    read(),
    /^RangeError: Cannot adapt lmWeight in test data, row 0: /,
  );
  // The label is worth 1/4 to the teacher and 1/2 to the target.
  taught.teachers.target = teacher(taught, [1, 0], [[2, 9], [1, 2]]);
  const { batches: [batch] } = await read();
  const tolerance = { rtol: 1e-6, atol: 0 }; // f32 storage
  assertAllClose(batch!.labelWeight.subarray(0, 1), [0.5], tolerance);
  assertAllClose(batch!.fused!.weight.subarray(0, 1), [0.5], tolerance);
});

Deno.test("stepReader() weighs teachers by span where the fusion does", async () => {
  const taught = row([1, 2, 3]);
  const say = (ids: number[][], bits: number[]) => ({
    ...teacher(taught, [1, 1, 0], ids),
    labelLogprobs: Float32Array.from(bits, (each) => -each * Math.LN2),
  });
  taught.teachers = {
    target: say([[4, 5], [4, 5], [4, 5]], [1, 3, NaN]),
    a: say([[6, 7], [6, 7], [6, 7]], [2, 2, NaN]),
  };
  const { batches: [batch] } = await stepReader(dataOf([taught]), {
    ...options,
    totalRows: 1,
    distillation: {
      ...{ ...distillation, fusion: "min-ce-span" },
      ...{ teachers: ["target", "a"], lmWeight: 0 },
    },
  })(1);
  assert.deepEqual([...batch!.fused!.ids.subarray(0, 4)], [4, 5, 6, 7]);
});

Deno.test("stepReader() names the row of a token outside the vocabulary", async () => {
  const read = stepReader(dataOf([row([1, 50])]), options);
  await assert.rejects(
    read(1),
    new RangeError(
      "Cannot train on test data, row 0: inputIds[1] is 50, expected less than " +
        "the model's vocabulary of 50",
    ),
  );
});

Deno.test("stepReader() refuses a teacher without bits per byte", async () => {
  const taught = row([1, 2]);
  taught.teachers.a = teacher(taught, [1, 0], [[3, 4], [3, 4]], NaN);
  const read = stepReader(dataOf([taught]), {
    ...options,
    totalRows: 1,
    distillation: { ...distillation, teachers: ["a"], lmWeight: 0 },
  });
  await assert.rejects(
    read(1),
    /Cannot learn from a in test data, row 0, position 0: .* bits per byte NaN/,
  );
});

function dataOf(
  rows: PackedRow[],
  length = rows[0]!.inputIds.length,
): TrainingData {
  return {
    name: "test data",
    rows: rows.length,
    length,
    teachers: {},
    digest: "",
    read: (index) => Promise.resolve(rows[index]!),
  };
}

function row(ids: number[], length = ids.length): PackedRow {
  const padded = (values: number[], padding: number) =>
    Int32Array.from({ length }, (_, t) => values[t] ?? padding);
  return {
    inputIds: padded(ids, 0),
    labels: padded(ids.slice(1), -100),
    document: padded(ids.map(() => 0), -1),
    position: padded(ids.map((_, t) => t), 0),
    teachers: {},
  };
}

function teacher(
  { inputIds }: PackedRow,
  weight: number[],
  ids: number[][],
  bitsPerByte = 1,
) {
  return {
    topK: 2,
    topkIds: Int32Array.from(ids.flat()),
    topkLogprobs: Float32Array.from(
      ids.flatMap(() => [Math.log(0.5), Math.log(0.25)]),
    ),
    weight: Float32Array.from(weight),
    bitsPerByte: new Float32Array(inputIds.length).fill(bitsPerByte),
  };
}
