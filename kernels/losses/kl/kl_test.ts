import assert from "node:assert/strict";
import fc from "fast-check";
import { klCpu } from "#/kernels/losses/kl/kl_cpu.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { lossRows } from "#/tests/loss_rows.ts";

Deno.test("klCpu() is never negative", () => {
  fc.assert(
    fc.property(lossRows(), fc.constantFrom(1, 2), (rows, temperature) => {
      const { distance } = klCpu(rows, { temperature });
      // A teacher's f32 mass may differ from 1 by its rounding.
      assert.ok(distance.every((value) => value > -1e-5));
    }),
    { numRuns: 50 },
  );
});

Deno.test("klCpu() sums p log(p / q) over the top-k and the tail", () => {
  const { distance } = klCpu({
    logits: Float64Array.of(0, 0, 0, 0),
    labels: Int32Array.of(-100),
    labelWeight: Float32Array.of(0),
    fusedIds: Int32Array.of(2),
    fusedProbs: Float32Array.of(0.75),
    fusedResidual: Float32Array.of(0.25),
    fusedWeight: Float32Array.of(1),
    vocabSize: 4,
    topK: 1,
  });
  assertAllClose(distance, [0.75 * Math.log(3) + 0.25 * Math.log(1 / 3)], {
    rtol: 1e-12,
    atol: 0,
  });
});
