import assert from "node:assert/strict";
import fc from "fast-check";
import {
  byEntropy,
  byMaxProb,
  byToken,
  distributionOf,
  type FusedRow,
  type FusionContext,
  fusions,
  probabilityOf,
  type SparseDistribution,
  type TeacherRow,
} from "#/stages/train/fusions/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";

const vocabSize = 23;
const context: FusionContext = {
  vocabSize,
  label: 2,
  teachers: 1,
  temperature: 1,
};
const someTeacher = fc.record({
  ids: fc.uniqueArray(fc.nat(vocabSize - 1), { minLength: 1, maxLength: 5 }),
  shares: fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), {
    minLength: 6,
    maxLength: 6,
  }),
  weight: fc.double({ min: 0.1, max: 1, noNaN: true }),
  // Few values, so that some are equal.
  bitsPerByte: fc.constantFrom(0.5, 1, 1.5, 5),
  spanBits: fc.constantFrom(0.25, 2, 9),
}).map(toTeacher);
const teachers = fc.array(someTeacher, { minLength: 1, maxLength: 4 });
const contexts = fc.record({
  label: fc.nat(vocabSize - 1),
  temperature: fc.constantFrom(0.01, 0.5, 1, 100),
});

/** f64 sums in another order, and an even share taken off and put back. */
const SUMS = { rtol: 1e-9, atol: 1e-12 };

for (const [name, fusion] of Object.entries(fusions)) {
  Deno.test(`${name}: fuse() returns a distribution of distinct tokens`, () => {
    fc.assert(fc.property(teachers, contexts, (rows, more) => {
      const fused = fusion.fuse(rows, {
        ...{ ...context, ...more, teachers: rows.length },
      });
      const { ids, probs, residual, weight } = fused;
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
    fc.assert(fc.property(someTeacher, contexts, (row, more) => {
      const fused = fusion.fuse([row], { ...context, ...more });
      assertSame(fused, distributionOf(row));
      assertAllClose([fused.weight], [row.weight], { rtol: 1e-12, atol: 0 });
    }));
  });

  Deno.test(`${name}: fuse() gives equal teachers back`, () => {
    fc.assert(fc.property(someTeacher, contexts, (row, more) => {
      const fused = fusion.fuse([row, row, row], {
        ...{ ...context, ...more, teachers: 3 },
      });
      assertSame(fused, distributionOf(row));
    }));
  });

  Deno.test(`${name}: fuse() does not heed the teachers' order, ties or not`, () => {
    fc.assert(
      fc.property(teachers, contexts, fc.integer(), (rows, more, seed) => {
        const inOrder = { ...context, ...more, teachers: rows.length };
        const one = fusion.fuse(rows, inOrder);
        const other = fusion.fuse(shuffled(rows, seed), inOrder);
        assertSame(one, other);
        assertAllClose([one.weight], [other.weight], SUMS);
      }),
    );
  });

  Deno.test(`${name}: fuse() stays between the teachers at every token`, () => {
    fc.assert(fc.property(teachers, contexts, (rows, more) => {
      const fused = fusion.fuse(rows, {
        ...{ ...context, ...more, teachers: rows.length },
      });
      const all = rows.map((row) => distributionOf(row));
      for (const id of fused.ids) {
        const said = all.map((each) => probabilityOf(each, id, vocabSize));
        const p = probabilityOf(fused, id, vocabSize);
        assert.ok(p <= Math.max(...said) + 1e-9);
        assert.ok(p >= Math.min(...said) - 1e-9);
      }
    }));
  });
}

for (
  const [chosen, mixed] of [
    ["min-ce", "avg-ce"],
    ["min-ce-span", "avg-ce-span"],
    ["min-ce-token", "avg-ce-token"],
  ] as const
) {
  Deno.test(`${mixed} at θ → 0 is ${chosen}`, () => {
    fc.assert(fc.property(teachers, fc.nat(vocabSize - 1), (rows, label) => {
      const at = { ...context, label, temperature: 1e-9 };
      const level = fusions[chosen];
      const scores = rows.map((row) =>
        chosen === "min-ce-span"
          ? row.spanBits!
          : chosen === "min-ce"
          ? row.bitsPerByte
          : byToken(row, at)
      ).sort((a, b) => a - b);
      fc.pre(scores.length === 1 || scores[1]! - scores[0]! > 1e-6);
      assertSame(level.fuse(rows, at), fusions[mixed].fuse(rows, at));
    }));
  });

  Deno.test(`${mixed} at θ → ∞ is the plain mean, as sum is of equal weights`, () => {
    fc.assert(fc.property(teachers, (rows) => {
      const alike = rows.map((row) => ({ ...row, weight: 1 }));
      const at = { ...context, teachers: rows.length, temperature: 1e15 };
      assertSame(fusions[mixed].fuse(alike, at), fusions.sum.fuse(alike, at));
    }));
  });
}

Deno.test("min-ce takes the lowest bits per byte, of equals the surest, then the smallest ids", () => {
  const rows = [
    teacher([1], [0.5], { bitsPerByte: 2 }),
    teacher([2], [0.5], { bitsPerByte: 1, weight: 0.25 }),
    teacher([3], [0.5], { bitsPerByte: 1 }),
  ];
  const { ids, weight } = fusions["min-ce"].fuse(rows, context);
  assert.deepEqual([ids, weight], [[2], 0.25]);
  const surer = teacher([4], [0.75], { bitsPerByte: 1 });
  assert.deepEqual(fusions["min-ce"].fuse([...rows, surer], context).ids, [4]);
});

Deno.test("min-ce looks at the document, the span or the label", () => {
  const rows = [
    teacher([1, 2], [0.75, 0.125], { bitsPerByte: 1, spanBits: 5 }),
    teacher([3, 2], [0.75, 0.25], { bitsPerByte: 2, spanBits: 4 }),
    teacher([4], [0.75], { bitsPerByte: 3, spanBits: 3 }),
  ];
  const best = (name: keyof typeof fusions) =>
    fusions[name].fuse(rows, context).ids[0];
  assert.equal(best("min-ce"), 1);
  assert.equal(best("min-ce-span"), 4);
  assert.equal(best("min-ce-token"), 3);
});

Deno.test("min-ce-span goes by the document where there is no span", () => {
  const rows = [
    teacher([1], [0.5], { bitsPerByte: 2 }),
    teacher([2], [0.5], { bitsPerByte: 1 }),
  ];
  assert.deepEqual(fusions["min-ce-span"].fuse(rows, context).ids, [2]);
});

Deno.test("avg-ce mixes by exp(−bits per byte / θ)", () => {
  for (const temperature of [1, 0.5, 3]) {
    const bitsPerByte = 1 + temperature * Math.log(3);
    const { ids, probs, residual } = fusions["avg-ce"].fuse([
      teacher([1, 2], [0.75, 0.25], { bitsPerByte: 1 }),
      teacher([2], [1], { bitsPerByte }),
    ], { ...context, temperature });
    // Shares 3/4 and 1/4; both lists hold all of their mass.
    assert.deepEqual(ids, [1, 2]);
    assertAllClose(probs, [0.5625, 0.4375], { rtol: 1e-6, atol: 0 }); // f32 logprobs
    assertAllClose([residual], [0], { rtol: 0, atol: 1e-6 });
  }
});

Deno.test("avg-ce spreads a residual evenly over tokens not listed", () => {
  const { ids, probs, residual } = fusions["avg-ce"].fuse([
    teacher([0], [0.5], { bitsPerByte: 1 }),
    teacher([1], [0.5], { bitsPerByte: 1 }),
  ], { ...context, vocabSize: 5 });
  assert.deepEqual(ids, [0, 1]);
  assertAllClose([...probs, residual], [0.3125, 0.3125, 0.375], {
    rtol: 1e-6, // f32 logprobs
    atol: 0,
  });
});

Deno.test("sum gives the sum of the teachers' cross-entropies, over their number", () => {
  fc.assert(fc.property(teachers, fc.nat(3), (rows, absent) => {
    const all = rows.length + absent;
    const fused = fusions.sum.fuse(rows, { ...context, teachers: all });
    const each = rows.map((row) =>
      row.weight * crossEntropy(distributionOf(row))
    );
    const sum = each.reduce((a, b) => a + b);
    assertAllClose([all * fused.weight * crossEntropy(fused)], [sum], SUMS);
  }));
});

Deno.test("confidence is even for equals and rises with what a teacher is sure of", () => {
  const sure = teacher([1, 2], [0.9, 0.1], { bitsPerByte: 1 });
  const unsure = teacher([1, 2], [0.5, 0.3], { bitsPerByte: 1 });
  const f32 = { rtol: 1e-6, atol: 1e-6 }; // f32 logprobs
  assertAllClose([byMaxProb(sure)], [-Math.log2(0.9)], f32);
  assertAllClose([byEntropy(sure, context)], [0.468995594], f32);
  // 0.5 + 0.521 bits for the two, 0.2 spread over 21 tokens for the rest.
  const rest = -0.2 * Math.log2(0.2 / 21);
  const listed = 0.5 - 0.3 * Math.log2(0.3);
  assertAllClose([byEntropy(unsure, context)], [listed + rest], f32);
  for (const name of ["confidence-entropy", "confidence-max-prob"] as const) {
    const { probs } = fusions[name].fuse([unsure, sure], context);
    assert.ok(probs[0]! > 0.7 && probs[0]! < 0.9);
  }
});

Deno.test("distributionOf() scales a mass above 1 down and drops padding", () => {
  const { ids, probs, residual } = distributionOf({
    ids: Int32Array.of(4, 2, -1),
    logprobs: Float32Array.of(Math.log(0.8), Math.log(0.4), -Infinity),
  });
  assert.deepEqual([ids, residual], [[4, 2], 0]);
  assertAllClose(probs, [2 / 3, 1 / 3], { rtol: 1e-6, atol: 0 }); // f32 logprobs
});

/** Against a model that finds token i as likely as i + 1 parts of all. */
function crossEntropy(distribution: SparseDistribution): number {
  const parts = vocabSize * (vocabSize + 1) / 2;
  let sum = 0;
  for (let id = 0; id < vocabSize; id++) {
    sum -= probabilityOf(distribution, id, vocabSize) *
      Math.log((id + 1) / parts);
  }
  return sum;
}

function assertSame(
  actual: Omit<FusedRow, "weight">,
  expected: Omit<FusedRow, "weight">,
): void {
  const byId = ({ ids, probs }: SparseDistribution) =>
    ids.map((id, k) => [id, probs[k]!] as const).filter(([, p]) => p > 1e-12)
      .sort(([a], [b]) => a - b);
  const all = new Set([...actual.ids, ...expected.ids]);
  for (const id of all) {
    assertAllClose(
      [probabilityOf(actual, id, vocabSize)],
      [probabilityOf(expected, id, vocabSize)],
      SUMS,
    );
  }
  if (actual.ids.length !== expected.ids.length) return;
  assert.deepEqual(
    byId(actual).map(([id]) => id),
    byId(expected).map(([id]) => id),
  );
  assertAllClose([actual.residual], [expected.residual], SUMS);
}

function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const keys = items.map((_, index) => Math.imul(seed + index, 0x9e3779b1));
  return items.map((item, index) => ({ item, key: keys[index]! }))
    .sort((a, b) => a.key - b.key).map(({ item }) => item);
}

function toTeacher({ ids, shares, ...rest }: {
  ids: number[];
  shares: number[];
  weight: number;
  bitsPerByte: number;
  spanBits: number;
}): TeacherRow {
  const sum = shares.slice(0, ids.length + 1).reduce((a, b) => a + b);
  const probs = ids.map((_, k) => shares[k]! / sum);
  return teacher(ids, probs, rest);
}

function teacher(
  ids: number[],
  probs: number[],
  rest: { bitsPerByte: number; weight?: number; spanBits?: number },
): TeacherRow {
  return {
    ids: Int32Array.from(ids),
    logprobs: Float32Array.from(probs, Math.log),
    weight: 1,
    ...rest,
  };
}
