import assert from "node:assert/strict";
import fc from "fast-check";
import { requestDevice } from "#/kernels/device.ts";
import { DeviceArray } from "#/kernels/device_array.ts";
import { crossEntropy } from "#/kernels/losses/cross_entropy/cross_entropy.ts";
import {
  losses,
  type LossOutput,
  type LossRows,
  type ResidualName,
  residuals,
} from "#/kernels/losses/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { identityProjection, lossRows } from "#/tests/loss_rows.ts";
import { stainPool } from "#/tests/stain_pool.ts";

const device = await requestDevice();
const options = fc.record({
  temperature: fc.constantFrom(1, 0.5, 2, 3.7),
  residual: fc.constantFrom(...Object.keys(residuals) as ResidualName[]),
  beta: fc.constantFrom(0.5, 0.1, 0.8),
});

/** Few, as every choice of them is compiled. */
const fewOptions = fc.record({
  temperature: fc.constantFrom(1, 2),
  residual: fc.constantFrom(...Object.keys(residuals) as ResidualName[]),
  beta: fc.constant(0.3),
});

/** Their gradients jump somewhere, as where q passes p: differences across it are no test. */
const kinked: ReadonlySet<string> = new Set([
  "total-variation",
  "uld",
  "gold",
  "h-kl",
  "alm",
]);
/** They know tokens by rank, by images or labels: any token may count. */
const unnamed: ReadonlySet<string> = new Set([
  "uld",
  "gold",
  "h-kl",
  "p-kl",
  "alm",
]);
/** It knows a teacher by its chunks, which no single row equals. */
const bySpan = (name: string) => name === "alm";
/** Those that are never negative, and zero for a model that equals its teacher. */
const divergences = Object.entries(losses)
  .filter(([name]) => name !== "cross-entropy" && name !== "h-kl");

for (const [name, { kernel, cpu }] of Object.entries(losses)) {
  const fixed = kinked.has(name) ? { seed: 20 } : {};

  Deno.test(`${name}: cpu() gradients match central differences`, () => {
    fc.assert(
      fc.property(lossRows(), options, fc.nat(), (rows, options, seed) => {
        const { dlogits } = cpu(rows, options);
        const step = kinked.has(name) ? 1e-6 : 1e-4;
        for (let probe = 0; probe < 5; probe++) {
          const at = (seed + probe * 7919) % rows.logits.length;
          const total = (offset: number) => {
            const logits = Float64Array.from(rows.logits);
            logits[at]! += offset;
            return weighted(rows, cpu({ ...rows, logits }, options));
          };
          const expected = (total(step) - total(-step)) / (2 * step);
          // Third derivatives times step²; f64 cancellation in the difference.
          assertAllClose([dlogits[at]!], [expected], {
            rtol: 1e-5,
            atol: 1e-7,
          });
        }
      }),
      { numRuns: 30, ...fixed },
    );
  });

  Deno.test(`${name}: cpu() does not depend on the order of the top-k`, () => {
    fc.assert(
      fc.property(lossRows(), options, (rows, options) => {
        const actual = cpu(reversed(rows), options);
        const expected = cpu(rows, options);
        // Sums in another order; probabilities are scaled in f32.
        const tolerance = { rtol: 1e-6, atol: 1e-6 };
        assertAllClose(actual.distance, expected.distance, tolerance);
        assertAllClose(actual.dlogits, expected.dlogits, tolerance);
      }),
      { numRuns: 30, ...fixed },
    );
  });

  Deno.test({
    name: `${name}: kernel() matches cpu()`,
    ignore: !device,
    async fn() {
      await fc.assert(
        fc.asyncProperty(lossRows(), fewOptions, async (rows, options) => {
          await stainPool(device!);
          const actual = await kernel(device!, rows, options);
          const expected = cpu(rows, options);
          // f32 logits up to 24, divided by T and rounded; T² multiplies.
          const atol = 1e-5 * Math.max(1, options.temperature ** 2);
          const { crossEntropy, distance, dlogits } = expected;
          // A sure label's complement is small, and its logprob f32.
          const tolerance = { rtol: bySpan(name) ? 1e-3 : 1e-5, atol };
          assertAllClose(actual.crossEntropy, crossEntropy, tolerance);
          assertAllClose(actual.distance, distance, tolerance);
          assertAllClose(actual.dlogits, dlogits, tolerance);
        }),
        { numRuns: 12, ...fixed },
      );
    },
  });

  if (kinked.has(name)) continue;
  Deno.test(`${name}: cpu() has no gradient where the model equals the teacher`, () => {
    fc.assert(
      fc.property(lossRows(), options, (rows, options) => {
        // A model with logits cannot rule a token out, as `zero` does.
        if (options.residual === "zero") options.residual = "bucket";
        const { dlogits } = cpu(modelOfTeacher(rows), options);
        // Probabilities are stored as f32.
        assertAllClose(dlogits, new Float64Array(dlogits.length), {
          rtol: 0,
          atol: 1e-6,
        });
      }),
      { numRuns: 30 },
    );
  });
}

for (const [name, { cpu }] of divergences) {
  Deno.test(`${name}: cpu() is never negative, and 0 where the model equals the teacher`, () => {
    fc.assert(
      fc.property(lossRows(), options, (rows, options) => {
        // A teacher's f32 mass may differ from 1 by its rounding.
        const atol = 1e-5 * Math.max(1, options.temperature ** 2);
        const { distance } = cpu(rows, options);
        // Where every image is listed, a residual has nowhere to go.
        const images = new Set(rows.projection!.ids).size;
        const isLost = name === "p-kl" && options.residual !== "ignored" &&
          images <= rows.topK;
        assert.ok(isLost || distance.every((value) => value >= -atol));
        if (options.residual === "zero" || bySpan(name)) return;
        // A listed token below the tail's share has a rank in the tail.
        const asked = unnamed.has(name)
          ? { ...options, residual: "spread" as const }
          : options;
        const equal = cpu(modelOfTeacher(rows), asked);
        assertAllClose(equal.distance, new Float64Array(distance.length), {
          rtol: 0,
          atol,
        });
      }),
      { numRuns: 30 },
    );
  });
}

Deno.test("losses: cpu() of an ignored residual sees no logit outside the top-k", () => {
  fc.assert(
    fc.property(lossRows(), fc.nat(), (rows, seed) => {
      const at = seed % rows.logits.length;
      const row = Math.floor(at / rows.vocabSize);
      const ids = rows.fusedIds.subarray(
        row * rows.topK,
        (row + 1) * rows.topK,
      );
      if (ids.includes(at % rows.vocabSize)) return;
      const logits = rows.logits.slice();
      logits[at]! += 1;
      for (const [name, { cpu }] of Object.entries(losses)) {
        if (unnamed.has(name)) continue;
        const before = cpu(rows, { residual: "ignored" });
        const after = cpu({ ...rows, logits }, { residual: "ignored" });
        assert.deepEqual(after.distance, before.distance);
      }
    }),
    { numRuns: 20 },
  );
});

Deno.test({
  name: "crossEntropy() leaves the gradient where the logits are",
  ignore: !device,
  async fn() {
    await fc.assert(
      fc.asyncProperty(lossRows(), async (rows) => {
        using logits = DeviceArray.from(device!, rows.logits);
        const { dlogits, ...values } = await crossEntropy(device!, {
          ...rows,
          logits,
        });
        using gradient = dlogits;
        const expected = await crossEntropy(device!, rows);
        assert.deepEqual(await gradient.read(), expected.dlogits);
        assert.deepEqual(values.distance, expected.distance);
        assert.deepEqual(values.crossEntropy, expected.crossEntropy);
      }),
      { numRuns: 10 },
    );
  },
});

Deno.test({
  name: "losses: kernel() keeps a tail that f32 subtraction would lose",
  ignore: !device,
  async fn() {
    // q_tail = 2e-13: 1 − Σ q over the top-k is 0 in f32.
    const rows = peakedRows();
    for (const { kernel, cpu } of [losses["cross-entropy"], losses.kl]) {
      const actual = await kernel(device!, rows);
      const expected = cpu(rows);
      assertAllClose(actual.distance, expected.distance, {
        rtol: 1e-5,
        atol: 0,
      });
      assertAllClose(actual.dlogits, expected.dlogits, {
        rtol: 1e-5,
        atol: 1e-7,
      });
    }
  },
});

Deno.test("losses: cpu() throws if a label lies outside the vocabulary", () => {
  const rows = { ...peakedRows(), labels: Int32Array.of(3) };
  assert.throws(
    () => losses.kl.cpu(rows),
    new RangeError(
      "Cannot compute losses: labels[0] is 3, expected less than the 3 tokens " +
        "of the logits",
    ),
  );
});

Deno.test("losses: cpu() throws if an array does not fit", () => {
  const rows = { ...peakedRows(), fusedProbs: new Float32Array(2) };
  assert.throws(
    () => losses["cross-entropy"].cpu(rows),
    new RangeError(
      "Cannot compute losses: fusedProbs has 2 entries, expected 1 for 1 rows, " +
        "3 tokens and top 1",
    ),
  );
});

Deno.test("losses: cpu() throws if beta is not between 0 and 1", () => {
  assert.throws(
    () => losses["generalized-js"].cpu(peakedRows(), { beta: 1 }),
    new RangeError(
      "Cannot compute losses: beta is 1, expected between 0 and 1",
    ),
  );
});

/** Σ labelWeight · crossEntropy + fusedWeight · distance. */
function weighted(
  rows: LossRows,
  { crossEntropy, distance }: LossOutput<Float64Array>,
): number {
  return crossEntropy.reduce(
    (sum, value, row) =>
      sum + value * rows.labelWeight[row]! +
      distance[row]! * rows.fusedWeight[row]!,
    0,
  );
}

/** The same teachers, their tokens in reverse. */
function reversed(rows: LossRows): LossRows {
  const { topK } = rows;
  const flip = (i: number) => {
    const row = Math.floor(i / topK);
    return (row + 1) * topK - 1 - (i - row * topK);
  };
  return {
    ...rows,
    fusedIds: rows.fusedIds.map((_, i) => rows.fusedIds[flip(i)]!),
    fusedProbs: rows.fusedProbs.map((_, i) => rows.fusedProbs[flip(i)]!),
  };
}

/** Rows whose logits are the teacher's logprobs, token by token, with no weight on labels. */
function modelOfTeacher(rows: LossRows): LossRows {
  const { vocabSize, topK } = rows;
  const logits = rows.logits.map((_, index) => {
    const row = Math.floor(index / vocabSize);
    const ids = rows.fusedIds.subarray(row * topK, (row + 1) * topK);
    const tail = vocabSize - ids.filter((id) => id >= 0).length;
    const k = ids.indexOf(index % vocabSize);
    return Math.log(
      k < 0
        ? rows.fusedResidual[row]! / tail
        : rows.fusedProbs[row * topK + k]!,
    );
  });
  return {
    ...rows,
    logits,
    labelWeight: rows.labelWeight.map(() => 0),
    projection: identityProjection(vocabSize),
  };
}

function peakedRows(): LossRows {
  return {
    logits: Float32Array.of(30, 0, 0.5),
    labels: Int32Array.of(1),
    labelWeight: Float32Array.of(0),
    fusedIds: Int32Array.of(0),
    fusedProbs: Float32Array.of(0.6),
    fusedResidual: Float32Array.of(0.4),
    fusedWeight: Float32Array.of(1),
    vocabSize: 3,
    topK: 1,
  };
}

Deno.test.afterAll(() => device?.destroy());
