import assert from "node:assert/strict";
import fc from "fast-check";
import { klCpu, type LossRows, pKlCpu } from "#/kernels/losses/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { identityProjection, lossRows } from "#/tests/loss_rows.ts";

Deno.test("pKlCpu() is klCpu() where every token stands for itself", () => {
  fc.assert(
    fc.property(lossRows(), fc.constantFrom(1, 3), (rows, temperature) => {
      const projection = identityProjection(rows.vocabSize);
      const options = { temperature };
      const actual = pKlCpu({ ...rows, projection }, options);
      const expected = klCpu(rows, options);
      // Tempered probabilities are f32 on both sides.
      const tolerance = { rtol: 1e-6, atol: 1e-6 };
      assertAllClose(actual.distance, expected.distance, tolerance);
      assertAllClose(actual.dlogits, expected.dlogits, tolerance);
    }),
    { numRuns: 20 },
  );
});

/** A model of three tokens, of which the second is halved, and a teacher of five. */
const rows: LossRows = {
  logits: Float32Array.from([0.2, 0.5, 0.3], Math.log),
  labels: Int32Array.of(-100),
  labelWeight: Float32Array.of(0),
  fusedIds: Int32Array.of(4, 1),
  fusedProbs: Float32Array.of(0.5, 0.25),
  fusedResidual: Float32Array.of(0.25),
  fusedWeight: Float32Array.of(1),
  vocabSize: 3,
  topK: 2,
  projection: {
    vocabSize: 5,
    offsets: Uint32Array.of(0, 1, 3, 4),
    ids: Uint32Array.of(4, 4, 0, 2),
    weights: Float32Array.of(1, 0.5, 0.5, 1),
  },
};

Deno.test("pKlCpu() adds up the model's mass token by token of the teacher", () => {
  const { distance } = pKlCpu(rows);
  // The model has 0.2 + 0.25 on token 4, and cannot reach 1 at all.
  const expected = 0.5 * Math.log(0.5 / 0.45) + 0.5 * Math.log(0.5 / 0.55);
  assertAllClose(distance, [expected], { rtol: 1e-6, atol: 0 }); // f32 logits
});

Deno.test("pKlCpu() compares what has an image, where some tokens have none", () => {
  const projection = {
    vocabSize: 5,
    offsets: Uint32Array.of(0, 1, 1, 2),
    ids: Uint32Array.of(4, 2),
    weights: Float32Array.of(1, 1),
  };
  const { distance, dlogits } = pKlCpu({ ...rows, projection });
  const expected = 0.5 * Math.log(0.5 / 0.4) + 0.5 * Math.log(0.5 / 0.6);
  assertAllClose(distance, [expected], { rtol: 1e-6, atol: 0 }); // f32 logits
  assert.equal(dlogits[1], 0);
});

Deno.test("pKlCpu() throws without a projection that fits", () => {
  const { projection, ...others } = rows;
  assert.throws(
    () => pKlCpu(others),
    new RangeError(
      "Cannot compute p-kl: projection has 0 rows, expected one for each of " +
        "the 3 tokens",
    ),
  );
  const fusedIds = Int32Array.of(5, 1);
  assert.throws(
    () => pKlCpu({ ...rows, fusedIds }),
    /Cannot compute p-kl: fusedIds\[0\] is 5, expected less than the 5 tokens/,
  );
  assert.throws(
    () => pKlCpu({ ...rows, projection: { ...projection!, vocabSize: 4 } }),
    /Cannot compute p-kl: projection names token 4, expected less than the 4/,
  );
});
