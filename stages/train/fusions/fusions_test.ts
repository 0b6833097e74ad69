import assert from "node:assert/strict";
import fc from "fast-check";
import {
  distributionOf,
  type FusedRow,
  fusions,
  type TeacherRow,
} from "#/stages/train/fusions/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";

const vocabSize = 23;
const teachers = fc.array(
  fc.record({
    ids: fc.uniqueArray(fc.nat(vocabSize - 1), { minLength: 1, maxLength: 5 }),
    shares: fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), {
      minLength: 6,
      maxLength: 6,
    }),
    weight: fc.double({ min: 0.1, max: 1, noNaN: true }),
    bitsPerByte: fc.double({ min: 0.5, max: 5, noNaN: true }),
  }).map(toTeacher),
  { minLength: 1, maxLength: 3 },
);

for (const [name, fusion] of Object.entries(fusions)) {
  Deno.test(`${name}: fuse() returns a distribution of distinct tokens`, () => {
    fc.assert(fc.property(teachers, (rows) => {
      const { ids, probs, residual, weight } = fusion.fuse(rows, vocabSize);
      assert.equal(new Set(ids).size, ids.length);
      assert.ok(ids.length <= fusion.topK(rows.map(({ ids }) => ids.length)));
      assert.ok([...probs, residual].every((p) => p >= 0));
      const mass = probs.reduce((sum, p) => sum + p, residual);
      assertAllClose([mass], [1], { rtol: 1e-12, atol: 0 });
      const weights = rows.map(({ weight }) => weight);
      assert.ok(weight <= Math.max(...weights) * (1 + 1e-12));
      assert.ok(weight >= Math.min(...weights) * (1 - 1e-12));
    }));
  });

  Deno.test(`${name}: fuse() gives one teacher back`, () => {
    fc.assert(fc.property(teachers, ([row]) => {
      const fused = fusion.fuse([row!], vocabSize);
      assertSame(fused, distributionOf(row!));
      assertAllClose([fused.weight], [row!.weight], { rtol: 1e-12, atol: 0 });
    }));
  });

  Deno.test(`${name}: fuse() gives equal teachers back`, () => {
    fc.assert(fc.property(teachers, ([row]) => {
      assertSame(
        fusion.fuse([row!, row!, row!], vocabSize),
        distributionOf(row!),
      );
    }));
  });
}

Deno.test("minCe.fuse() takes the lowest bits per byte, the first of equals", () => {
  const [a, b, c] = [
    teacher([1], [0.5], { bitsPerByte: 2 }),
    teacher([2], [0.5], { bitsPerByte: 1, weight: 0.25 }),
    teacher([3], [0.5], { bitsPerByte: 1 }),
  ];
  const { ids, weight } = fusions["min-ce"].fuse([a, b, c], vocabSize);
  assert.deepEqual([ids, weight], [[2], 0.25]);
});

Deno.test("avgCe.fuse() mixes by exp(−bits per byte)", () => {
  const { ids, probs, residual } = fusions["avg-ce"].fuse([
    teacher([1, 2], [0.75, 0.25], { bitsPerByte: 1 }),
    teacher([2], [1], { bitsPerByte: 1 + Math.log(3) }),
  ], vocabSize);
  // Shares 3/4 and 1/4; both lists hold all of their mass.
  assert.deepEqual(ids, [1, 2]);
  assertAllClose(probs, [0.5625, 0.4375], { rtol: 1e-6, atol: 0 }); // f32 logprobs
  assertAllClose([residual], [0], { rtol: 0, atol: 1e-6 });
});

Deno.test("avgCe.fuse() spreads a residual evenly over tokens not listed", () => {
  const { ids, probs, residual } = fusions["avg-ce"].fuse([
    teacher([0], [0.5], { bitsPerByte: 1 }),
    teacher([1], [0.5], { bitsPerByte: 1 }),
  ], 5);
  assert.deepEqual(ids, [0, 1]);
  assertAllClose([...probs, residual], [0.3125, 0.3125, 0.375], {
    rtol: 1e-6, // f32 logprobs
    atol: 0,
  });
});

Deno.test("distributionOf() scales a mass above 1 down and drops padding", () => {
  const { ids, probs, residual } = distributionOf({
    ids: Int32Array.of(4, 2, -1),
    logprobs: Float32Array.of(Math.log(0.8), Math.log(0.4), -Infinity),
  });
  assert.deepEqual([ids, residual], [[4, 2], 0]);
  assertAllClose(probs, [2 / 3, 1 / 3], { rtol: 1e-6, atol: 0 }); // f32 logprobs
});

function assertSame(
  actual: Omit<FusedRow, "weight">,
  expected: Omit<FusedRow, "weight">,
): void {
  assert.deepEqual(actual.ids, expected.ids);
  // Sums in another order, and an even share taken off and put back.
  const tolerance = { rtol: 1e-9, atol: 1e-12 };
  assertAllClose(actual.probs, expected.probs, tolerance);
  assertAllClose([actual.residual], [expected.residual], tolerance);
}

function toTeacher({ ids, shares, weight, bitsPerByte }: {
  ids: number[];
  shares: number[];
  weight: number;
  bitsPerByte: number;
}): TeacherRow {
  const sum = shares.slice(0, ids.length + 1).reduce((a, b) => a + b);
  const probs = ids.map((_, k) => shares[k]! / sum);
  return teacher(ids, probs, { weight, bitsPerByte });
}

function teacher(
  ids: number[],
  probs: number[],
  rest: { bitsPerByte: number; weight?: number },
): TeacherRow {
  return {
    ids: Int32Array.from(ids),
    logprobs: Float32Array.from(probs, Math.log),
    weight: 1,
    ...rest,
  };
}
