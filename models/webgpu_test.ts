import { trainingModel } from "#/models/mod.ts";
import { createSession } from "#/onnx/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  lively,
  TINY_BATCH,
  TINY_CONFIGS,
  weightTensors,
} from "#/tests/tiny_models.ts";

// onnxruntime writes to stderr where there is no adapter, so it is asked only on
// request: ORT_TEST_WEBGPU=1, on a GPU or with VK_ICD_FILENAMES set to the
// software driver that chromium ships (mesa's lacks features Dawn needs).
const isWanted = Deno.env.get("ORT_TEST_WEBGPU") === "1";

const { tokens, labels, fused, topK } = TINY_BATCH;

for (
  const [name, config] of Object.entries<Record<string, unknown>>(TINY_CONFIGS)
) {
  Deno.test({
    name: `trainingModel() of ${name} gives the same on webgpu` +
      (isWanted ? "" : " (skipped: set ORT_TEST_WEBGPU=1 on a GPU)"),
    ignore: !isWanted,
    async fn() {
      const weights = lively(config);
      const { bytes } = trainingModel(config, weights, {
        distillation: { topK, loss: "kl", temperature: 2 },
        tiles: 2,
      });
      const feeds = {
        ...weightTensors(weights),
        ...tokens,
        ...labels,
        ...fused,
      };
      await using cpu = await createSession(bytes, { device: "cpu" });
      await using gpu = await createSession(bytes, { device: "webgpu" });
      const expected = await cpu.run(feeds);
      const actual = await gpu.run(feeds);
      for (const [key, { data }] of Object.entries(expected)) {
        const reference = data as Float32Array;
        const scale = Math.hypot(...reference) / Math.sqrt(reference.length);
        // Sums in another order; 1.4e-6 of the norm was measured.
        assertAllClose(actual[key]!.data as Float32Array, reference, {
          rtol: 1e-4,
          atol: 1e-4 * scale,
        });
      }
    },
  });
}
