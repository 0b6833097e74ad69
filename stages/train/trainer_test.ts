import assert from "node:assert/strict";
import { join } from "node:path";
import { initialWeights, openCheckpoint, readWeight } from "#/models/mod.ts";
import { stackRows } from "#/stages/train/batches.ts";
import { Trainer, type TrainerSetup } from "#/stages/train/trainer.ts";
import { assertAllClose } from "#/tests/allclose.ts";

const vocabSize = 11;
const config = {
  model_type: "llama",
  hidden_size: 8,
  intermediate_size: 12,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  num_hidden_layers: 1,
  vocab_size: vocabSize,
  max_position_embeddings: 16,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
};
const setup: TrainerSetup = {
  config,
  seed: 4,
  vocabSize,
  loss: "kl",
  residual: "bucket",
  beta: 0.5,
  lossOn: "graph",
  temperature: 1,
  topK: 0,
  beta1: 0.9,
  beta2: 0.95,
  epsilon: 1e-8,
  weightDecay: 0.5,
  maxGradNorm: 1,
  threads: 1,
};

/** A batch whose labels count this much. */
function batchOf(labelWeight: number) {
  return stackRows([{
    inputIds: Int32Array.of(1, 2, 3, 4),
    labels: Int32Array.of(2, 3, 4, -100),
    document: new Int32Array(4),
    position: Int32Array.of(0, 1, 2, 3),
    teachers: {},
  }], labelWeight);
}

Deno.test("Trainer.update() decays matrices only, and no embedding", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await using trainer = await Trainer.open(setup);
    await trainer.update([batchOf(0)], 1, 0.1);
    const path = join(directory, "model");
    await trainer.saveModel(path, "f32");
    const { weights } = await openCheckpoint(path);
    for (const [name, { shape, data }] of initialWeights(config, setup.seed)) {
      const isKept = shape.length === 1 || name.includes("embed_tokens");
      const factor = isKept ? 1 : 1 - 0.1 * 0.5;
      assertAllClose(
        await readWeight(weights.get(name)!),
        data.map((weight) => factor * weight),
        { rtol: 1e-6, atol: 0 }, // two f32 roundings
      );
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("Trainer.update() clips the gradient to the longest one allowed", async () => {
  // AdamW's first step is lr · g / (|g| + ε): with a large ε it shows |g|.
  const step = async (maxGradNorm: number) => {
    const directory = await Deno.makeTempDir();
    try {
      const options = { ...setup, epsilon: 1e3, weightDecay: 0, maxGradNorm };
      await using trainer = await Trainer.open(options);
      const { gradNorm } = await trainer.update([batchOf(1)], 1, 1e3);
      await trainer.saveModel(join(directory, "model"), "f32");
      const { weights } = await openCheckpoint(join(directory, "model"));
      let squares = 0;
      for (const [name, { data }] of initialWeights(config, setup.seed)) {
        const after = await readWeight(weights.get(name)!);
        after.forEach((weight, i) => squares += (weight - data[i]!) ** 2);
      }
      return { gradNorm, moved: Math.sqrt(squares) };
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  };
  const free = await step(1e6);
  const clipped = await step(0.1);
  assert.ok(free.gradNorm > 0.2);
  assert.equal(clipped.gradNorm, free.gradNorm);
  // Weights near 1 store the movement with an error of 6e-8 each.
  assertAllClose([free.moved], [free.gradNorm], { rtol: 1e-2, atol: 0 });
  assertAllClose([clipped.moved], [0.1], { rtol: 1e-2, atol: 0 });
});

Deno.test("Trainer.score() gives the loss of update() and changes nothing", async () => {
  await using trainer = await Trainer.open(setup);
  const before = await trainer.score(batchOf(1));
  assert.equal(await trainer.score(batchOf(1)), before);
  const { crossEntropy } = await trainer.update([batchOf(1)], 1, 0.1);
  assertAllClose([crossEntropy], [before], { rtol: 1e-6, atol: 0 }); // f32
  assert.ok(await trainer.score(batchOf(1)) < before);
});
