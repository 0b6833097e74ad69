import assert from "node:assert/strict";
import {
  openGenerator,
  openScorer,
  saveCheckpoint,
  trainingModel,
} from "#/models/mod.ts";
import { createSession, type Tensor } from "#/onnx/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  int64,
  lively,
  openTiny,
  TINY_CONFIGS,
  weightTensors,
} from "#/tests/tiny_models.ts";

const V = 37;
const ids = [3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 8, 36, 7, 9];
/** The same sums in another order, through two layers, in f32. */
const sameSums = { rtol: 1e-4, atol: 1e-4 };
const configs = Object.entries<Record<string, unknown>>(TINY_CONFIGS);

for (const [name, config] of configs) {
  Deno.test(`${name}: documents in one row are as if alone`, async () => {
    await using model = await openTiny(config);
    const [first, second] = [ids.slice(0, 5), ids.slice(5)];
    const packed = await model.logits(ids, ids.length, {
      position: [...first.keys(), ...second.keys()],
      document: ids.map((_, i) => i < 5 ? 7 : 8),
    });
    const alone = [
      ...await model.logits(first, 5),
      ...await model.logits(second, 9),
    ];
    assertAllClose(packed, alone, sameSums);
  });

  Deno.test(`${name}: no row sees what comes after it`, async () => {
    await using model = await openTiny(config);
    const before = await model.logits(ids, ids.length);
    const after = await model.logits(ids.with(9, 0), ids.length);
    assert.deepEqual(after.slice(0, 9 * V), before.slice(0, 9 * V));
    assert.notDeepEqual(
      after.slice(9 * V, 10 * V),
      before.slice(9 * V, 10 * V),
    );
  });

  Deno.test(`${name}: every weight's gradient matches central differences`, async () => {
    await checkGradients(config);
  });

  Deno.test(`${name}: scorer, generator and training graph agree`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      const weights = lively(config);
      await saveCheckpoint(directory, config, weights);
      await using model = await openTiny(config, weights);
      await using scorer = await openScorer(directory);
      const expected = await model.logits(ids, 7);
      const actual = await scorer.logits(Int32Array.from(ids), 2, 7);
      assertAllClose(actual, expected, sameSums);

      await using generator = await openGenerator(directory);
      await generator.prefill(ids.slice(0, 4));
      for (let t = 4; t < 7; t++) {
        const logits = await generator.next(ids[t]!);
        assertAllClose(logits, expected.slice(t * V, (t + 1) * V), sameSums);
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

/** Moves all weights along one direction, each weight's share tested on its own. */
async function checkGradients(config: Record<string, unknown>) {
  const weights = lively(config);
  const { bytes, weightNames } = trainingModel(config, weights);
  await using session = await createSession(bytes);
  const dims = [2, 7];
  const feeds = {
    input_ids: int64(dims, ids),
    position: int64(dims, ids.map((_, i) => i % 7)),
    document: int64(dims, ids.map((_, i) => i % 7 < 3 ? 0 : 1)),
    labels: int64(dims, ids.map((_, i) => i % 5 ? ids[i]! : -100)),
    ce_weight: {
      type: "float32",
      dims,
      data: Float32Array.from(ids, (_, i) => i % 5 ? 0.5 : 0),
    } satisfies Tensor,
  };
  const outputs = await session.run({ ...weightTensors(weights), ...feeds });
  assert.deepEqual(weightNames.toSorted(), [...weights.keys()].toSorted());
  for (const [index, name] of weightNames.entries()) {
    const { data, shape } = weights.get(name)!;
    const gradient = outputs[`grad.${name}`]!.data as Float32Array;
    assert.deepEqual([...outputs[`grad.${name}`]!.dims], shape);
    // Along the gradient itself the slope is its norm: far above f32's noise.
    const norm = Math.hypot(...gradient);
    assert.ok(norm > 1e-6, `${name} has no gradient`);
    const step = 1e-2 / Math.max(1, norm);
    const lossAt = async (sign: number) => {
      const moved = data.map((value, i) =>
        value + sign * step * gradient[i]! / norm
      );
      const tensors = weightTensors(weights);
      tensors[name] = { type: "float32", dims: shape, data: moved };
      const { loss } = await session.run({ ...tensors, ...feeds }, ["loss"]);
      return Number(loss!.data[0]);
    };
    const slope = (await lossAt(1) - await lossAt(-1)) / (2 * step);
    // f32 losses of ~20 carry 2e-6; truncation is second order in the step.
    const tolerance = 1e-2 * norm + 4e-6 / step;
    assert.ok(
      Math.abs(slope - norm) <= tolerance,
      `${index} ${name}: slope ${slope}, norm of the gradient ${norm}`,
    );
  }
}

Deno.test("grouped queries equal plain ones whose key heads are repeated", async () => {
  const grouped = TINY_CONFIGS["llama, grouped queries"];
  const plain = { ...grouped, num_key_value_heads: 6 };
  const weights = lively(grouped);
  const repeated = new Map(weights);
  for (const [name, { shape, data }] of weights) {
    if (!/[kv]_proj/.test(name)) continue;
    const head = 10 * shape[1]!;
    const rows = Array.from({ length: 6 }, (_, h) => {
      const start = Math.floor(h / 2) * head;
      return [...data.slice(start, start + head)];
    });
    repeated.set(name, {
      shape: [60, shape[1]!],
      data: Float32Array.from(rows.flat()),
    });
  }
  await using a = await openTiny(grouped, weights);
  await using b = await openTiny(plain, repeated);
  assertAllClose(await a.logits(ids, 7), await b.logits(ids, 7), sameSums);
});

Deno.test("a sliding window hides what lies further back", async () => {
  const config = TINY_CONFIGS["mistral, sliding window"];
  await using model = await openTiny(config);
  const before = await model.logits(ids, ids.length);
  const after = await model.logits(ids.with(0, 30), ids.length);
  // Two layers of window 3 reach 4 tokens back.
  assert.notDeepEqual(after.slice(4 * V, 5 * V), before.slice(4 * V, 5 * V));
  assert.deepEqual(after.slice(5 * V), before.slice(5 * V));
});

Deno.test("as many key heads as query heads where config.json has null", async () => {
  const config = TINY_CONFIGS["mistral, sliding window"];
  const each = { ...config, num_key_value_heads: 6 };
  await using a = await openTiny({ ...config, num_key_value_heads: null });
  await using b = await openTiny(each);
  assert.deepEqual(await a.logits(ids, 14), await b.logits(ids, 14));
});

Deno.test("a window as long as the text is none", async () => {
  const config = TINY_CONFIGS["mistral, sliding window"];
  await using wide = await openTiny({ ...config, sliding_window: 14 });
  await using none = await openTiny({ ...config, sliding_window: null });
  assert.deepEqual(await wide.logits(ids, 14), await none.logits(ids, 14));
});

Deno.test("tied weights equal untied ones that are equal", async () => {
  const untied = TINY_CONFIGS["llama, grouped queries"];
  const weights = lively(untied);
  weights.set("lm_head.weight", weights.get("model.embed_tokens.weight")!);
  await using a = await openTiny(untied, weights);
  // A tied model's file may hold the head as well.
  await using b = await openTiny(
    { ...untied, tie_word_embeddings: true },
    weights,
  );
  assert.deepEqual(await a.logits(ids, 7), await b.logits(ids, 7));
});

Deno.test("weight names may lack the model's prefix, buffers are passed over", async () => {
  const config = TINY_CONFIGS.gpt2;
  const weights = lively(config);
  const bare = new Map(
    [...weights].map(([name, weight]) => [
      name.replace("transformer.", ""),
      weight,
    ]),
  );
  bare.set("h.0.attn.bias", {
    shape: [1, 1, 64, 64],
    data: new Float32Array(4096),
  });
  const { weightNames } = trainingModel(config, bare);
  assert.ok(weightNames.includes("wte.weight"));
  await using a = await openTiny(config, weights);
  await using b = await openTiny(config, bare);
  assert.deepEqual(await a.logits(ids, 7), await b.logits(ids, 7));
});
