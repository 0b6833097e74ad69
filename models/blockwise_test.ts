import assert from "node:assert/strict";
import { openBlockwise, trainingModel } from "#/models/mod.ts";
import { createSession, type Tensor } from "#/onnx/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  int64,
  lively,
  TINY_CONFIGS,
  weightTensors,
} from "#/tests/tiny_models.ts";

const ids = [3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 8, 36];
const dims = [2, 6];
const K = 2;
const real = (shape: number[], f: (i: number) => number): Tensor => ({
  type: "float32",
  dims: shape,
  data: Float32Array.from(
    { length: shape.reduce((product, size) => product * size, 1) },
    (_, i) => f(i),
  ),
});
const batch = {
  input_ids: int64(dims, ids),
  position: int64(dims, ids.map((_, i) => i % 6)),
  document: int64(dims, ids.map((_, i) => i % 6 < 4 ? 0 : 1)),
  labels: int64(dims, ids.map((_, i) => i % 6 < 5 ? ids[i + 1]! : -100)),
  ce_weight: real(dims, (i) => i % 6 < 5 ? 0.1 : 0),
  fused_ids: int64([...dims, K], ids.flatMap((id) => [id, (id + 7) % 37])),
  fused_probs: real([...dims, K], (i) => [0.6, 0.3][i % 2]!),
  fused_residual: real(dims, () => 0.1),
  fused_weight: real(dims, (i) => i % 2 ? 0.07 : 0),
};
const distillation = { topK: K, loss: "kl", temperature: 1 } as const;

for (
  const [name, config] of Object.entries<Record<string, unknown>>(TINY_CONFIGS)
) {
  Deno.test(`BlockwiseTraining.run() of ${name} equals the whole graph`, async () => {
    const weights = lively(config);
    const { bytes, weightNames } = trainingModel(config, weights, {
      distillation,
    });
    const feeds = { ...weightTensors(weights), ...batch };
    await using whole = await createSession(bytes);
    const expected = await whole.run(feeds);

    await using parts = await openBlockwise(config, weights, { distillation });
    assert.deepEqual(parts.weightNames.toSorted(), weightNames.toSorted());
    const fetches = Object.fromEntries(
      weightNames.map((name) => [
        `grad.${name}`,
        real(weights.get(name)!.shape, () => NaN),
      ]),
    );
    // The second run finds the first one's gradients in the arrays.
    for (let run = 0; run < 2; run++) {
      const actual = await parts.run(feeds, fetches);
      for (const [key, { data }] of Object.entries(expected)) {
        // The same f32 operations; only the order of a tied weight's sums differs.
        assertAllClose(
          actual[key]!.data as Float32Array,
          data as Float32Array,
          {
            rtol: 1e-5,
            atol: 1e-6,
          },
        );
      }
    }
  });
}
