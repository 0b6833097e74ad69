import assert from "node:assert/strict";
import { requestDevice } from "#/kernels/device.ts";
import {
  losses,
  type LossName,
  type ResidualName,
} from "#/kernels/losses/mod.ts";
import { initialWeights, trainingModel } from "#/models/mod.ts";
import { createSession, type Tensor } from "#/onnx/mod.ts";
import type { Batch } from "#/stages/train/batches.ts";
import type { Arrays } from "#/stages/train/feeds.ts";
import {
  type LossHome,
  lossHomes,
  type PassOptions,
} from "#/stages/train/passes.ts";
import { randomStream } from "#/stages/train/random.ts";
import { assertAllClose } from "#/tests/allclose.ts";

const device = await requestDevice();
device?.destroy();

const vocabSize = 37;
const config = {
  model_type: "llama",
  hidden_size: 16,
  intermediate_size: 24,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  num_hidden_layers: 2,
  vocab_size: vocabSize,
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  initializer_range: 0.5,
  tie_word_embeddings: false,
};
const weights: Arrays = initialWeights(config, 3);

const cases = (["cross-entropy", "kl"] as const).flatMap((loss) =>
  [1, 2].map((temperature) => ({ loss, temperature }))
);

for (const { loss, temperature } of cases) {
  const title = `${loss}, temperature ${temperature}`;

  Deno.test(`graph pass matches the f64 reference (${title})`, async () => {
    const batch = exampleBatch();
    const { values } = await runHome("graph", loss, temperature, batch);
    const expected = await referenceValues(loss, temperature, batch);
    // f32 logits and sums; the weights sum to less than 1.
    const tolerance = { rtol: 1e-5, atol: 1e-5 };
    assertAllClose(Object.values(values), expected, tolerance);
  });

  Deno.test(`graph pass agrees with itself recomputing (${title})`, async () => {
    const batch = exampleBatch();
    const whole = await runHome("graph", loss, temperature, batch);
    const parts = await runHome("graph", loss, temperature, batch, {
      recompute: true,
    });
    const tolerance = { rtol: 1e-5, atol: 1e-6 }; // the same f32 operations
    assertAllClose(
      Object.values(parts.values),
      Object.values(whole.values),
      tolerance,
    );
    for (const [name, { data }] of whole.gradients) {
      assertAllClose(parts.gradients.get(name)!.data, data, tolerance);
    }
  });

  Deno.test({
    name: `graph and webgpu pass agree (${title})`,
    ignore: !device,
    async fn() {
      const graph = await runHome("graph", loss, temperature, exampleBatch());
      const webgpu = await runHome("webgpu", loss, temperature, exampleBatch());
      const tolerance = { rtol: 1e-5, atol: 1e-5 }; // as promised
      assertAllClose(
        Object.values(webgpu.values),
        Object.values(graph.values),
        tolerance,
      );
      for (const [name, { data }] of graph.gradients) {
        assertAllClose(webgpu.gradients.get(name)!.data, data, tolerance);
      }
    },
  });
}

Deno.test({
  name: "graph and webgpu pass agree without teachers",
  ignore: !device,
  async fn() {
    const { fused: _, ...batch } = exampleBatch();
    const options = { topK: 0 };
    const graph = await runHome("graph", "kl", 1, batch, options);
    const webgpu = await runHome("webgpu", "kl", 1, batch, options);
    const tolerance = { rtol: 1e-5, atol: 1e-5 };
    assertAllClose(
      Object.values(webgpu.values),
      Object.values(graph.values),
      tolerance,
    );
    for (const [name, { data }] of graph.gradients) {
      assertAllClose(webgpu.gradients.get(name)!.data, data, tolerance);
    }
  },
});

for (
  const [loss, residual] of [
    ["kl", "zero"],
    ["reverse-kl", "spread"],
    ["generalized-js", "ignored"],
  ] as const
) {
  const title = `${loss}, residual ${residual}`;

  Deno.test(`cpu pass matches the f64 reference (${title})`, async () => {
    const batch = exampleBatch();
    const { values } = await runHome("cpu", loss, 2, batch, { residual });
    const expected = await referenceValues(loss, 2, batch, residual);
    const tolerance = { rtol: 1e-12, atol: 1e-12 }; // the same function
    assertAllClose(Object.values(values), expected, tolerance);
  });

  const other = loss === "kl" ? "graph" : "webgpu";
  Deno.test({
    name: `cpu and ${other} pass agree (${title})`,
    ignore: other === "webgpu" && !device,
    async fn() {
      const cpu = await runHome("cpu", loss, 2, exampleBatch(), { residual });
      const there = await runHome(other, loss, 2, exampleBatch(), { residual });
      const tolerance = { rtol: 1e-5, atol: 1e-5 }; // as promised
      assertAllClose(
        Object.values(there.values),
        Object.values(cpu.values),
        tolerance,
      );
      for (const [name, { data }] of cpu.gradients) {
        assertAllClose(there.gradients.get(name)!.data, data, tolerance);
      }
    },
  });
}

Deno.test("graph pass refuses a loss that it does not hold", async () => {
  await assert.rejects(
    runHome("graph", "reverse-kl", 1, exampleBatch()),
    new RangeError(
      "Cannot compute reverse-kl with residual bucket in the graph, expected " +
        "cross-entropy or kl with residual bucket or zero",
    ),
  );
});

async function runHome(
  home: LossHome,
  loss: LossName,
  temperature: number,
  batch: Batch,
  change: Partial<PassOptions> = {},
) {
  const options = {
    loss,
    temperature,
    topK: 3,
    vocabSize,
    threads: 1,
    residual: "bucket" as const,
    beta: 0.5,
    ...change,
  };
  await using pass = await lossHomes[home](config, weights, options);
  const gradients: Arrays = new Map(
    Array.from(weights, ([name, { shape, data }]) => [
      name,
      { shape, data: new Float32Array(data.length) },
    ]),
  );
  return { values: await pass.run(batch, weights, gradients), gradients };
}

/** Cross-entropy and distance by the kernel's f64 reference on the model's logits. */
async function referenceValues(
  loss: LossName,
  temperature: number,
  batch: Batch,
  choice: ResidualName = "bucket",
): Promise<number[]> {
  const { bytes } = trainingModel(config, weights, {
    loss: "external",
    backward: false,
  });
  await using session = await createSession(bytes, { device: "cpu" });
  const dims = [batch.batch, batch.length];
  const int64 = (values: Int32Array): Tensor => ({
    type: "int64",
    dims,
    data: BigInt64Array.from(values, BigInt),
  });
  const { logits } = await session.run({
    ...Object.fromEntries(Array.from(weights, ([name, { shape, data }]) => [
      name,
      { type: "float32", dims: shape, data },
    ])),
    input_ids: int64(batch.inputIds),
    position: int64(batch.position),
    document: int64(batch.document),
  });
  const { ids, probs, residual, weight } = batch.fused!;
  const output = losses[loss].cpu({
    logits: logits!.data as Float32Array,
    labels: batch.labels,
    labelWeight: batch.labelWeight,
    fusedIds: ids,
    fusedProbs: probs,
    fusedResidual: residual,
    fusedWeight: weight,
    vocabSize,
    topK: 3,
  }, { temperature, residual: choice });
  const dot = (a: Float32Array, b: Float64Array) =>
    a.reduce((sum, x, i) => sum + x * b[i]!, 0);
  return [
    dot(batch.labelWeight, output.crossEntropy),
    dot(weight, output.distance),
  ];
}

/** Two documents and padding; teachers full, padded, with a tail or none, absent. */
function exampleBatch(): Batch {
  const random = randomStream(9);
  const [batch, length] = [2, 7];
  const rows = batch * length;
  const document = Int32Array.of(0, 0, 0, 1, 1, 1, -1, 0, 0, 0, 0, 0, -1, -1);
  const token = () => Math.floor(random() * vocabSize);
  const isLabelled = (t: number) =>
    document[t]! >= 0 && document[t] === document[t + 1];
  const fused = {
    topK: 3,
    ids: new Int32Array(rows * 3).fill(-1),
    probs: new Float32Array(rows * 3),
    residual: new Float32Array(rows),
    weight: new Float32Array(rows),
  };
  for (let t = 0; t < rows; t++) {
    if (!isLabelled(t) || t % 4 === 3) continue;
    const used = 1 + t % 3;
    const first = token();
    const shares = Array.from({ length: used + 1 }, random);
    if (t % 5 === 0) shares[used] = 0;
    const sum = shares.reduce((a, b) => a + b);
    for (let k = 0; k < used; k++) {
      fused.ids[t * 3 + k] = (first + 5 * k) % vocabSize;
      fused.probs[t * 3 + k] = shares[k]! / sum;
    }
    fused.residual[t] = shares[used]! / sum;
    fused.weight[t] = 0.1 * random();
  }
  return {
    batch,
    length,
    inputIds: Int32Array.from({ length: rows }, token),
    position: Int32Array.of(0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 3, 4, 0, 0),
    document,
    labels: Int32Array.from(
      { length: rows },
      (_, t) => isLabelled(t) ? token() : -100,
    ),
    labelWeight: Float32Array.from(
      { length: rows },
      (_, t) => isLabelled(t) ? 0.1 * random() : 0,
    ),
    fused,
  };
}
