import { crossEntropyCpu } from "#/kernels/losses/cross_entropy/cross_entropy_cpu.ts";
import { assertAllClose } from "#/tests/allclose.ts";

// logits are the logs of these, so that every number below is by hand.
const q = [0.5, 0.25, 0.125, 0.125];
const rows = {
  logits: Float64Array.from(q, Math.log),
  labels: Int32Array.of(1),
  labelWeight: Float32Array.of(0.5),
  fusedIds: Int32Array.of(0, -1),
  fusedProbs: Float32Array.of(0.75, 0),
  fusedResidual: Float32Array.of(0.25),
  fusedWeight: Float32Array.of(2),
  vocabSize: 4,
  topK: 2,
};

Deno.test("crossEntropyCpu() takes the tail as one bucket", () => {
  const { crossEntropy, distance, dlogits } = crossEntropyCpu(rows);
  const exact = { rtol: 1e-12, atol: 1e-12 };
  assertAllClose(crossEntropy, [Math.log(4)], exact);
  assertAllClose(distance, [Math.log(2)], exact); // q_0 = q_tail = 1/2
  assertAllClose(dlogits, [
    0.5 * 0.5 + 2 * (0.5 - 0.75),
    0.5 * (0.25 - 1) + 2 * 0.25 * (1 - 0.25 / 0.5),
    0.5 * 0.125 + 2 * 0.125 * (1 - 0.25 / 0.5),
    0.5 * 0.125 + 2 * 0.125 * (1 - 0.25 / 0.5),
  ], exact);
});

Deno.test("crossEntropyCpu() tempers both sides, the teacher's tail spread evenly", () => {
  const { crossEntropy, distance } = crossEntropyCpu(rows, { temperature: 2 });
  // √p of (3/4, 1/12, 1/12, 1/12) is 3 : 1 : 1 : 1; √q of the model likewise.
  const roots = q.map(Math.sqrt);
  const model = roots[0]! / roots.reduce((sum, root) => sum + root, 0);
  const expected = -4 * (Math.log(model) + Math.log(1 - model)) / 2;
  assertAllClose(crossEntropy, [Math.log(4)], { rtol: 1e-12, atol: 0 });
  // The teacher's probabilities are rounded to f32.
  assertAllClose(distance, [expected], { rtol: 1e-6, atol: 0 });
});
