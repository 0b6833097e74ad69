import assert from "node:assert/strict";
import { openBlockwise, trainingModel } from "#/models/mod.ts";
import { createSession } from "#/onnx/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  lively,
  real,
  TINY_BATCH,
  TINY_CONFIGS,
  weightTensors,
} from "#/tests/tiny_models.ts";

const { tokens, labels, fused, topK } = TINY_BATCH;
const distillation = { topK, loss: "kl", temperature: 1 } as const;

for (
  const [name, config] of Object.entries<Record<string, unknown>>(TINY_CONFIGS)
) {
  Deno.test(`BlockwiseTraining.run() of ${name} equals the whole graph`, async () => {
    const weights = lively(config);
    const { bytes, weightNames } = trainingModel(config, weights, {
      distillation,
    });
    const feeds = { ...weightTensors(weights), ...tokens, ...labels, ...fused };
    await using whole = await createSession(bytes);
    const expected = await whole.run(feeds);

    // 12 rows go through the head in three runs.
    const options = { distillation, headRows: 5 };
    await using parts = await openBlockwise(config, weights, options);
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
