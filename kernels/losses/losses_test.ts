import assert from "node:assert/strict";
import fc from "fast-check";
import { requestDevice } from "#/kernels/device.ts";
import { losses, type LossRows } from "#/kernels/losses/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { lossRows } from "#/tests/loss_rows.ts";

const device = await requestDevice();
const temperatures = fc.constantFrom(1, 0.5, 2, 3.7);

for (const [name, { kernel, cpu }] of Object.entries(losses)) {
  Deno.test(`${name}: cpu() gradients match central differences`, () => {
    fc.assert(
      fc.property(lossRows(), temperatures, fc.nat(), (rows, T, seed) => {
        const { dlogits } = cpu(rows, { temperature: T });
        const step = 1e-4;
        for (let probe = 0; probe < 5; probe++) {
          const at = (seed + probe * 7919) % rows.logits.length;
          const total = (offset: number) => {
            const logits = Float64Array.from(rows.logits);
            logits[at]! += offset;
            const { crossEntropy, distance } = cpu({ ...rows, logits }, {
              temperature: T,
            });
            return crossEntropy.reduce(
              (sum, value, row) =>
                sum + value * rows.labelWeight[row]! +
                distance[row]! * rows.fusedWeight[row]!,
              0,
            );
          };
          const expected = (total(step) - total(-step)) / (2 * step);
          // Third derivatives times step²; f64 cancellation in the difference.
          assertAllClose([dlogits[at]!], [expected], {
            rtol: 1e-5,
            atol: 1e-7,
          });
        }
      }),
      { numRuns: 30 },
    );
  });

  Deno.test(`${name}: cpu() has no gradient where the model equals the teacher`, () => {
    fc.assert(
      fc.property(lossRows(), temperatures, (rows, temperature) => {
        const equal = modelOfTeacher(rows);
        const { dlogits } = cpu(equal, { temperature });
        // Probabilities are stored as f32.
        assertAllClose(dlogits, new Float64Array(dlogits.length), {
          rtol: 0,
          atol: 1e-6,
        });
      }),
      { numRuns: 30 },
    );
  });

  Deno.test({
    name: `${name}: kernel() matches cpu()`,
    ignore: !device,
    async fn() {
      await fc.assert(
        fc.asyncProperty(
          lossRows(),
          temperatures,
          async (rows, temperature) => {
            const actual = await kernel(device!, rows, { temperature });
            const expected = cpu(rows, { temperature });
            // f32 logits up to 24, divided by T and rounded; T² multiplies.
            const atol = 1e-5 * Math.max(1, temperature ** 2);
            const { crossEntropy, distance, dlogits } = expected;
            assertAllClose(actual.crossEntropy, crossEntropy, {
              rtol: 1e-5,
              atol,
            });
            assertAllClose(actual.distance, distance, { rtol: 1e-5, atol });
            assertAllClose(actual.dlogits, dlogits, { rtol: 1e-5, atol });
          },
        ),
        { numRuns: 20 },
      );
    },
  });
}

Deno.test({
  name: "losses: kernel() keeps a tail that f32 subtraction would lose",
  ignore: !device,
  async fn() {
    // q_tail = 2e-13: 1 − Σ q over the top-k is 0 in f32.
    const rows = peakedRows();
    for (const { kernel, cpu } of Object.values(losses)) {
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

/** Rows whose logits are the teacher's logprobs, with no weight on labels. */
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
  return { ...rows, logits, labelWeight: rows.labelWeight.map(() => 0) };
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
