import assert from "node:assert/strict";
import fc from "fast-check";
import { almCpu } from "#/kernels/losses/alm/alm_cpu.ts";
import { crossEntropyCpu } from "#/kernels/losses/cross_entropy/cross_entropy_cpu.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { lossRows } from "#/tests/loss_rows.ts";

// Two tokens; every label has probability 1/2, 1/4, 1/2.
const rows = {
  logits: Float64Array.of(0, 0, Math.log(3), 0, 0, 0, 0, 0),
  labels: Int32Array.of(0, 1, 1, -1),
  labelWeight: new Float32Array(4),
  fusedIds: new Int32Array(0),
  fusedProbs: new Float32Array(0),
  fusedResidual: new Float32Array(4),
  fusedWeight: Float32Array.of(1, 0, 2, 1),
  vocabSize: 2,
  topK: 0,
  chunkLogprobs: Float32Array.of(Math.log(0.5), NaN, Math.log(0.25), -1),
};

Deno.test("almCpu() compares a chunk with the product over its labels", () => {
  const { distance, dlogits } = almCpu(rows);
  const kl = (p: number, q: number) =>
    p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q));
  const rounded = { rtol: 1e-6, atol: 1e-9 }; // f32 logprobs and weights
  // A row without a label begins no chunk.
  assertAllClose(distance, [kl(0.5, 0.125), 0, kl(0.25, 0.5), 0], rounded);
  // (Q − P) / (1 − Q), times the label's onehot − q.
  const [first, second] = [-0.375 / 0.875, 0.25 / 0.5];
  assertAllClose(dlogits, [
    ...[first * 0.5, -first * 0.5],
    ...[-first * 0.75, first * 0.75],
    ...[-2 * second * 0.5, 2 * second * 0.5],
    ...[0, 0],
  ], rounded);
});

Deno.test("almCpu() at high temperatures compares code lengths", () => {
  const { distance } = almCpu(rows, { temperature: 1e4 });
  const [a, b] = [Math.log(2), 3 * Math.log(2)];
  const limit = a * Math.log(a / b) - a + b;
  // Next terms are of order 1 / T.
  assertAllClose([distance[0]!], [limit], { rtol: 1e-3, atol: 0 });
});

Deno.test("almCpu() has no gradient where teacher and model agree on every chunk", () => {
  fc.assert(
    fc.property(lossRows(), (rows) => {
      const labelWeight = new Float32Array(rows.labels.length);
      const { crossEntropy } = crossEntropyCpu(rows);
      const chunkLogprobs = Float32Array.from(crossEntropy, (ce) => -ce);
      const { distance, dlogits } = almCpu({
        ...{ ...rows, labelWeight, chunkLogprobs },
      });
      // f32 logprobs over complements of 1e-4.
      const tolerance = { rtol: 0, atol: 1e-2 };
      assertAllClose(distance, new Float64Array(distance.length), tolerance);
      assertAllClose(dlogits, new Float64Array(dlogits.length), tolerance);
    }),
    { numRuns: 20 },
  );
});

Deno.test("almCpu() throws without the teacher's chunks", () => {
  const { chunkLogprobs: _, ...others } = rows;
  assert.throws(
    () => almCpu(others),
    new RangeError(
      "Cannot compute alm: chunkLogprobs has 0 entries, expected one for each " +
        "of 4 rows",
    ),
  );
});
