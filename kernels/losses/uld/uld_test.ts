import { uldCpu } from "#/kernels/losses/uld/uld_cpu.ts";
import { assertAllClose } from "#/tests/allclose.ts";

// logits are the logs of these, so that every number below is by hand.
const q = [0.125, 0.5, 0.125, 0.25];
const rows = {
  logits: Float64Array.from(q, Math.log),
  labels: Int32Array.of(-1),
  labelWeight: Float32Array.of(0),
  fusedIds: Int32Array.of(2, 0, -1),
  fusedProbs: Float32Array.of(0.125, 0.75, 0),
  fusedResidual: Float32Array.of(0.125),
  fusedWeight: Float32Array.of(1),
  vocabSize: 4,
  topK: 3,
};
const exact = { rtol: 1e-12, atol: 1e-12 };

Deno.test("uldCpu() compares sorted probabilities, whatever their tokens", () => {
  // Teacher 3/4, 1/8 and a tail of 1/8; model 1/2, 1/4 and 1/4.
  const { distance, dlogits } = uldCpu(rows);
  assertAllClose(distance, [0.5], exact);
  // q s − q Σ q s, where s = −1 on the first, 1 below, and Σ q s = 0.
  assertAllClose(dlogits, [0.125, -0.5, 0.125, 0.25], exact);
});

Deno.test("uldCpu() sorts a spread residual in, too", () => {
  // Teacher 3/4, 1/8, 1/16, 1/16; model 1/2, 1/4, 1/8, 1/8.
  assertAllClose(uldCpu(rows, { residual: "spread" }).distance, [0.5], exact);
  // Teacher 27/32, 1/16, 1/16, 1/32: the listed 1/32 faces the model's last.
  const low = { ...rows, fusedProbs: Float32Array.of(0.03125, 0.84375, 0) };
  assertAllClose(
    uldCpu(low, { residual: "spread" }).distance,
    [0.34375 + 0.1875 + 0.0625 + 0.09375],
    exact,
  );
});

Deno.test("uldCpu() of ignored and zero residuals scales the teacher's top-k", () => {
  // Teacher 6/7, 1/7; model 2/3, 1/3 of its first two, and 1/4 below them.
  const rounded = { rtol: 1e-6, atol: 0 }; // f32 probabilities
  assertAllClose(
    uldCpu(rows, { residual: "ignored" }).distance,
    [4 / 21 + 4 / 21],
    rounded,
  );
  assertAllClose(
    uldCpu(rows, { residual: "zero" }).distance,
    [5 / 14 + 3 / 28 + 1 / 4],
    rounded,
  );
});
