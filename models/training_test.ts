import assert from "node:assert/strict";
import { trainingModel } from "#/models/mod.ts";
import { createSession } from "#/onnx/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  lively,
  real,
  TINY_BATCH,
  TINY_CONFIGS,
  weightTensors,
} from "#/tests/tiny_models.ts";

const V = 37;
const { tokens, labels, fused, topK } = TINY_BATCH;
const config = TINY_CONFIGS["llama, tied, with biases"];
const weights = lively(config);
const distillation = { topK, loss: "kl", temperature: 2 } as const;

Deno.test("trainingModel() with an external loss gives the gradients of the loss in the graph", async () => {
  const { bytes, weightNames } = trainingModel(config, weights);
  await using graph = await createSession(bytes);
  const feeds = { ...weightTensors(weights), ...tokens };
  const expected = await graph.run({ ...feeds, ...labels });

  const forward = trainingModel(config, weights, {
    loss: "external",
    backward: false,
  });
  await using scoring = await createSession(forward.bytes);
  const { logits } = await scoring.run(feeds);
  assert.deepEqual([...logits!.dims], [2, 6, V]);

  const dlogits = real([2, 6, V], () => 0);
  const z = logits!.data as Float32Array;
  labels.labels.data.forEach((label, row) => {
    if (Number(label) < 0) return;
    const exps = z.slice(row * V, (row + 1) * V).map((x) => Math.exp(x));
    const sum = exps.reduce((a, b) => a + b);
    exps.forEach((e, id) => {
      const hit = id === Number(label) ? 1 : 0;
      (dlogits.data as Float32Array)[row * V + id] = 0.1 * (e / sum - hit);
    });
  });
  const backward = trainingModel(config, weights, { loss: "external" });
  await using gradients = await createSession(backward.bytes);
  const actual = await gradients.run({ ...feeds, dlogits });
  for (const name of weightNames) {
    // f32 softmax in another order, through the backward pass.
    assertAllClose(
      actual[`grad.${name}`]!.data as Float32Array,
      expected[`grad.${name}`]!.data as Float32Array,
      { rtol: 1e-4, atol: 1e-5 },
    );
  }
});

Deno.test("trainingModel() adds the distance to the loss and to every gradient", async () => {
  const { bytes, weightNames } = trainingModel(config, weights, {
    distillation,
  });
  await using session = await createSession(bytes);
  const run = (moved: typeof weights, fetches?: string[]) =>
    session.run(
      { ...weightTensors(moved), ...tokens, ...labels, ...fused },
      fetches,
    );
  const outputs = await run(weights);
  const [loss, ce, distance] = ["loss", "cross_entropy", "distance"]
    .map((name) => Number(outputs[name]!.data[0]));
  assertAllClose([loss!], [ce! + distance!], { rtol: 1e-6, atol: 0 });
  assert.ok(distance! > 0.01);

  // All weights move along the gradient at once: the slope is its norm.
  const norm = Math.hypot(
    ...weightNames.flatMap((name) =>
      [...outputs[`grad.${name}`]!.data].map(Number)
    ),
  );
  const step = 1e-3;
  const [above, below] = await Promise.all([1, -1].map(async (sign) => {
    const moved = new Map([...weights].map(([name, { shape, data }]) => {
      const gradient = outputs[`grad.${name}`]!.data;
      const entries = data.map((x, i) =>
        x + sign * step * Number(gradient[i]) / norm
      );
      return [name, { shape, data: entries }];
    }));
    const { loss } = await run(moved, ["loss"]);
    return Number(loss!.data[0]);
  }));
  // f32 losses carry 1e-6, over the step 1e-3.
  assertAllClose([(above! - below!) / (2 * step)], [norm], {
    rtol: 1e-2,
    atol: 1e-3,
  });
});

Deno.test("trainingModel() without backward gives the same loss and no gradients", async () => {
  const full = trainingModel(config, weights, { distillation });
  const half = trainingModel(config, weights, {
    distillation,
    backward: false,
  });
  await using a = await createSession(full.bytes);
  await using b = await createSession(half.bytes);
  const feeds = { ...weightTensors(weights), ...tokens, ...labels, ...fused };
  const expected = await a.run(feeds, ["loss"]);
  const actual = await b.run(feeds);
  assert.deepEqual(Object.keys(actual).toSorted(), [
    "cross_entropy",
    "distance",
    "loss",
  ]);
  assert.deepEqual(actual.loss!.data, expected.loss!.data);
});

Deno.test("trainingModel() gives identical bits in two sessions at one thread count", async () => {
  const { bytes } = trainingModel(config, weights, { distillation });
  const feeds = { ...weightTensors(weights), ...tokens, ...labels, ...fused };
  const runs = [];
  for (let run = 0; run < 2; run++) {
    await using session = await createSession(bytes, { threads: 2 });
    runs.push(await session.run(feeds), await session.run(feeds));
  }
  for (const outputs of runs.slice(1)) {
    for (const [name, { data }] of Object.entries(outputs)) {
      assert.deepEqual(data, runs[0]![name]!.data, name);
    }
  }
});
