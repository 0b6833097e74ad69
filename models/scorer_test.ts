import assert from "node:assert/strict";
import { openScorer, saveCheckpoint } from "#/models/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { lively, TINY_CONFIGS } from "#/tests/tiny_models.ts";

const V = 37;
const config = TINY_CONFIGS["llama, grouped queries"];
const ids = Int32Array.of(3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 8, 36);

async function withModel(
  dtype: "f32" | "f16" | "bf16",
  test: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await saveCheckpoint(directory, config, lively(config), { dtype });
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Logprobs in f64. */
function logSoftmax(logits: Float32Array): number[] {
  const top = Math.max(...logits);
  const sum = logits.reduce((sum, z) => sum + Math.exp(z - top), 0);
  return Array.from(logits, (z) => z - top - Math.log(sum));
}

Deno.test("Scorer.topLogprobs() sorts the log-softmax of Scorer.logits()", async () => {
  await withModel("f32", async (directory) => {
    await using scorer = await openScorer(directory);
    assert.equal(scorer.vocabSize, V);
    assert.equal(scorer.contextLength, 64);
    const logits = await scorer.logits(ids, 2, 6);
    for (const K of [1, 5, V]) {
      const top = await scorer.topLogprobs(ids, 2, 6, K);
      for (let row = 0; row < 12; row++) {
        const logprobs = logSoftmax(logits.subarray(row * V, (row + 1) * V));
        const order = logprobs.map((_, id) => id)
          .sort((a, b) => logprobs[b]! - logprobs[a]! || a - b).slice(0, K);
        const entries = [row * K, (row + 1) * K] as const;
        assert.deepEqual([...top.topkIds.subarray(...entries)], order);
        // One f32 rounding of a logarithm of at most 20.
        assertAllClose(
          top.topkLogprobs.subarray(...entries),
          order.map((id) => logprobs[id]!),
          { rtol: 1e-6, atol: 2e-6 },
        );
        const label = row % 6 === 5 ? NaN : logprobs[ids[row + 1]!]!;
        if (Number.isNaN(label)) {
          assert.ok(Number.isNaN(top.labelLogprobs[row]));
        } else {
          assertAllClose([top.labelLogprobs[row]!], [label], {
            rtol: 1e-6,
            atol: 2e-6,
          });
        }
      }
    }
  });
});

Deno.test("Scorer.topLogprobs() is the same where rows go through the head in parts", async () => {
  // 323 rows of 40,000 logits are too many for one part, 19 are not.
  const [rows, length, vocabSize, topK] = [17, 19, 40_000, 3];
  const wide = { ...config, vocab_size: vocabSize };
  const ids = Int32Array.from(
    { length: rows * length },
    (_, at) => (at * at * 31 + 7 * at) % vocabSize,
  );
  const directory = await Deno.makeTempDir();
  try {
    await saveCheckpoint(directory, wide, lively(wide));
    await using scorer = await openScorer(directory, { device: "cpu" });
    const together = await scorer.topLogprobs(ids, rows, length, topK);
    for (let row = 0; row < rows; row++) {
      const [from, to] = [row * length, (row + 1) * length];
      const alone = await scorer
        .topLogprobs(ids.subarray(from, to), 1, length, topK);
      const top = [from * topK, to * topK] as const;
      assert.deepEqual(together.topkIds.slice(...top), alone.topkIds);
      // Products of another shape may sum in another order.
      const limits = { rtol: 1e-5, atol: 1e-5 };
      const { topkLogprobs, labelLogprobs } = together;
      assertAllClose(topkLogprobs.slice(...top), alone.topkLogprobs, limits);
      assertAllClose(
        labelLogprobs.slice(from, to - 1),
        alone.labelLogprobs.slice(0, -1),
        limits,
      );
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("Scorer.logits() of a row does not depend on padding or neighbours", async () => {
  await withModel("f32", async (directory) => {
    await using scorer = await openScorer(directory);
    const alone = await scorer.logits(ids.slice(0, 4), 1, 4);
    const padded = Int32Array.of(...ids.slice(0, 4), 0, 0, ...ids.slice(4, 10));
    const together = await scorer.logits(padded, 2, 6);
    // The same sums in another order.
    assertAllClose(together.subarray(0, 4 * V), alone, {
      rtol: 1e-4,
      atol: 1e-5,
    });
  });
});

for (const dtype of ["f16", "bf16"] as const) {
  Deno.test(`openScorer() reads ${dtype} weights as they are, and rounds to ${dtype}`, async () => {
    await withModel(dtype, (stored) =>
      withModel("f32", async (exact) => {
        await using a = await openScorer(stored);
        await using b = await openScorer(exact, { dtype, device: "cpu" });
        await using c = await openScorer(exact);
        const [rounded, rounding, plain] = await Promise.all(
          [a, b, c].map((scorer) => scorer.logits(ids, 1, 12)),
        );
        assert.deepEqual(rounding, rounded);
        assert.notDeepEqual(plain, rounded);
      }));
  });
}

Deno.test("Scorer refuses what does not fit the model", async () => {
  await withModel("f32", async (directory) => {
    await using scorer = await openScorer(directory);
    await assert.rejects(
      scorer.logits(ids, 2, 7),
      /inputIds has 12 entries, expected \[2, 7\]/,
    );
    await assert.rejects(
      scorer.logits(new Int32Array(65), 1, 65),
      /sequences of 65 tokens, expected at most the model's context of 64/,
    );
    await assert.rejects(
      scorer.logits(Int32Array.of(1, 37), 1, 2),
      /inputIds\[1\] is 37, expected 0 to 36/,
    );
    await assert.rejects(
      scorer.topLogprobs(ids, 1, 12, 38),
      /top 38 of the logits, expected 1 to 37/,
    );
  });
});

Deno.test("openScorer() names the directory of a model it cannot build", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const wrong = { ...config, hidden_act: "mish" };
    await saveCheckpoint(directory, wrong, lively(config));
    await assert.rejects(
      openScorer(directory),
      (error: Error) =>
        error.message.includes("hidden_act") &&
        error.message.includes(directory),
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
