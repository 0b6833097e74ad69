import assert from "node:assert/strict";
import { openScorer, saveCheckpoint, trainingModel } from "#/models/mod.ts";
import { createSession, type Session, type Tensor } from "#/onnx/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
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

const skipped = isWanted ? "" : " (skipped: set ORT_TEST_WEBGPU=1 on a GPU)";

const { tokens, labels, fused, topK } = TINY_BATCH;
const distillation = { topK, loss: "kl", temperature: 2 } as const;
const batch = { ...tokens, ...labels, ...fused };

for (
  const [name, config] of Object.entries<Record<string, unknown>>(TINY_CONFIGS)
) {
  Deno.test({
    name: `trainingModel() of ${name} gives the same on webgpu${skipped}`,
    ignore: !isWanted,
    async fn() {
      const weights = lively(config);
      const options = { distillation, tiles: 2 };
      const { bytes } = trainingModel(config, weights, options);
      const feeds = { ...weightTensors(weights), ...batch };
      await using cpu = await createSession(bytes, { device: "cpu" });
      await using gpu = await createSession(bytes, { device: "webgpu" });
      const expected = await cpu.run(feeds);
      const actual = await gpu.run(feeds);
      for (const [key, { data }] of Object.entries(expected)) {
        // Sums in another order; 1.4e-6 of the norm was measured.
        assertNear(actual[key]!.data as Float32Array, data as Float32Array);
      }
    },
  });
}

const llama = TINY_CONFIGS["llama, grouped queries"];

Deno.test({
  name: `trainingModel() learns on webgpu what it learns on the CPU${skipped}`,
  ignore: !isWanted,
  async fn() {
    const { bytes } = trainingModel(llama, lively(llama), { distillation });
    const learned = async (device: "cpu" | "webgpu") => {
      await using session = await createSession(bytes, { device });
      return await learn(session, weightTensors(lively(llama)), 5);
    };
    const [expected, actual] = [await learned("cpu"), await learned("webgpu")];
    assert.ok(expected.losses.at(-1)! < 0.9 * expected.losses[0]!);
    assertAllClose(actual.losses, expected.losses, { rtol: 1e-4, atol: 0 });
    for (const [name, { data }] of Object.entries(expected.weights)) {
      const weight = actual.weights[name]!.data as Float32Array;
      assertNear(weight, data as Float32Array);
    }
  },
});

Deno.test({
  name: `openScorer() gives the same on webgpu, in tiles and whole${skipped}`,
  ignore: !isWanted,
  fn: () =>
    inTemporaryDirectory(async (directory) => {
      const config = { ...llama, max_position_embeddings: 512 };
      await saveCheckpoint(directory, config, lively(config));
      await using cpu = await openScorer(directory, { device: "cpu" });
      await using gpu = await openScorer(directory, { device: "webgpu" });
      // At 512 tokens attention takes its queries in tiles.
      for (const [rows, length] of [[3, 7], [1, 512]] as const) {
        const ids = Int32Array.from({ length: rows * length }, (_, i) =>
          (i * i + 3 * i) % config.vocab_size);
        const expected = await cpu.topLogprobs(ids, rows, length, 5);
        const actual = await gpu.topLogprobs(ids, rows, length, 5);
        // f32 sums in another order; ids may differ where logprobs do not.
        const limits = { rtol: 1e-4, atol: 1e-4 };
        assertAllClose(actual.topkLogprobs, expected.topkLogprobs, limits);
        const labelled = (values: Float32Array) =>
          values.filter((_, at) =>
            at % length < length - 1
          );
        assertAllClose(
          labelled(actual.labelLogprobs),
          labelled(expected.labelLogprobs),
          limits,
        );
      }
    }),
});

/** Steps of gradient descent with momentum: every step stands on the last one's state. */
async function learn(
  session: Session,
  weights: Record<string, Tensor>,
  steps: number,
) {
  const losses: number[] = [];
  const velocity: Record<string, Float32Array> = {};
  for (let step = 0; step < steps; step++) {
    const outputs = await session.run({ ...weights, ...batch });
    losses.push((outputs.loss!.data as Float32Array)[0]!);
    for (const [name, { data }] of Object.entries(weights)) {
      const gradient = outputs[`grad.${name}`]!.data as Float32Array;
      const moving = velocity[name] ??= new Float32Array(gradient.length);
      gradient.forEach((slope, at) => {
        moving[at] = 0.9 * moving[at]! + slope;
        (data as Float32Array)[at]! -= 0.02 * moving[at]!;
      });
    }
  }
  return { losses, weights };
}

function assertNear(actual: Float32Array, expected: Float32Array): void {
  const scale = Math.hypot(...expected) / Math.sqrt(expected.length);
  assertAllClose(actual, expected, { rtol: 1e-4, atol: 1e-4 * scale });
}
