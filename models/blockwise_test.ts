import assert from "node:assert/strict";
import { describeModel } from "#/models/architectures.ts";
import { type PartTape, recordParts } from "#/models/block_parts.ts";
import { openBlockwise, trainingModel } from "#/models/mod.ts";
import { WeightNames } from "#/models/weights.ts";
import { createSession } from "#/onnx/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  lively,
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
    for (const keptWidth of [0, 40, Infinity]) {
      await using parts = await openBlockwise(config, weights, {
        ...options,
        keptWidth,
      });
      assert.deepEqual(parts.weightNames.toSorted(), weightNames.toSorted());
      // Side by side, so that what is kept finds room there.
      const sizes = weightNames.map((name) => weights.get(name)!.data.length);
      const all = new Float32Array(sizes.reduce((a, b) => a + b)).fill(NaN);
      let end = 0;
      const fetches = Object.fromEntries(
        weightNames.map((name, i) => {
          const data = all.subarray(end, end += sizes[i]!);
          const dims = weights.get(name)!.shape;
          return [`grad.${name}`, { type: "float32", dims, data } as const];
        }),
      );
      // The second run finds the first one's gradients in the arrays.
      for (let run = 0; run < 2; run++) {
        const actual = await parts.run(feeds, fetches);
        for (const [key, { data }] of Object.entries(expected)) {
          // The same f32 operations; only the order of a tied weight's sums differs.
          assertAllClose(
            actual[key]!.data as Float32Array,
            data as Float32Array,
            { rtol: 1e-5, atol: 1e-6 },
          );
        }
      }
      const once = all.slice();
      await parts.run(feeds, fetches, true);
      assertAllClose(all, once.map((x) => 2 * x), { rtol: 1e-5, atol: 1e-6 });
    }
  });

  Deno.test(`recordParts() of ${name} computes no product again that is kept`, () => {
    const weights = lively(config);
    const model = describeModel(config);
    const count = (keptWidth: number) => {
      const names = new WeightNames(model, weights);
      const { blocks, blocksBackward } = recordParts(model, names, {
        keptWidth,
      });
      const products = (part: PartTape) =>
        part.tape.model().nodes.filter(({ op }) => op === "Gemm").length;
      return [products(blocks[0]!), products(blocksBackward[0]!)];
    };
    const [forward, backward] = count(0);
    // Two products are the gradient of one; the last of a block none needs.
    assert.ok(backward! > 2 * forward!);
    assert.deepEqual(count(Infinity), [forward, 2 * forward!]);
  });
}
