import assert from "node:assert/strict";
import fc from "fast-check";
import { initialWeights, openScorer, saveCheckpoint } from "#/models/mod.ts";
import { findExport } from "#/models/exported_scorer.ts";
import { topLogprobsOf } from "#/models/top_logprobs.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { exportOnnx } from "#/tests/export_onnx.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const llama = {
  model_type: "llama",
  vocab_size: 37,
  hidden_size: 16,
  intermediate_size: 24,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 2,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 32,
  rope_theta: 10000,
  hidden_act: "silu",
  tie_word_embeddings: false,
};

Deno.test("openScorer() runs an ONNX export with the logprobs of the graph it was made from", () =>
  inTemporaryDirectory(async (directory) => {
    const [ours, out] = [`${directory}/ours`, `${directory}/export`];
    await saveCheckpoint(ours, llama, initialWeights(llama, 7));
    await exportOnnx(ours, out);
    assert.equal(await findExport(ours), undefined);
    assert.deepEqual(await findExport(out), {
      name: "model.onnx",
      dtype: "fp32",
    });
    await assert.rejects(openScorer(out, { dtype: "f16" }), {
      message: `Cannot run ${out} in f16: it has only onnx/model.onnx`,
    });
    await using expected = await openScorer(ours);
    await using actual = await openScorer(out);
    assert.equal(actual.vocabSize, 37);
    assert.equal(actual.contextLength, 32);
    const ids = Int32Array.from({ length: 3 * 11 }, (_, i) => i * 5 % 37);
    const [want, have] = await Promise.all(
      [expected, actual].map((scorer) => scorer.topLogprobs(ids, 3, 11, 5)),
    );
    // Both in f32; onnxruntime may fuse the two graphs differently.
    const tolerance = { rtol: 1e-5, atol: 1e-5 };
    assertAllClose(have!.topkLogprobs, want!.topkLogprobs, tolerance);
    for (let i = 0; i < ids.length; i++) {
      if (i % 11 === 10) assert.ok(Number.isNaN(have!.labelLogprobs[i]));
      else {
        const [x, y] = [have!.labelLogprobs[i]!, want!.labelLogprobs[i]!];
        assertAllClose([x], [y], tolerance);
      }
    }
    assert.deepEqual(have!.topkIds, want!.topkIds);
  }));

Deno.test("openScorer() runs an export whose weights are a link, as in a cache", () =>
  inTemporaryDirectory(async (directory) => {
    const [ours, out] = [`${directory}/ours`, `${directory}/export`];
    await saveCheckpoint(ours, llama, initialWeights(llama, 8));
    await exportOnnx(ours, out, true);
    await using expected = await openScorer(ours);
    await using actual = await openScorer(out);
    const ids = Int32Array.of(1, 2, 3, 5, 7);
    assertAllClose(
      await actual.logits(ids, 1, 5),
      await expected.logits(ids, 1, 5),
      // Both in f32; onnxruntime may fuse the two graphs differently.
      { rtol: 1e-5, atol: 1e-5 },
    );
  }));

Deno.test("openScorer() says which export transformers.js cannot run", () =>
  inTemporaryDirectory(async (directory) => {
    const config = { model_type: "nonesuch", vocab_size: 5 };
    await Deno.mkdir(`${directory}/onnx`);
    await Deno.writeTextFile(
      `${directory}/config.json`,
      JSON.stringify(config),
    );
    await Deno.writeTextFile(`${directory}/onnx/model_q4.onnx`, "");
    await assert.rejects(openScorer(directory), (error: Error) => {
      assert.equal(
        error.message,
        `Cannot run onnx/model_q4.onnx of ${directory}`,
      );
      assert.match((error.cause as Error).message, /nonesuch/);
      return true;
    });
  }));

Deno.test("topLogprobsOf() is the sorted log-softmax", () => {
  fc.assert(fc.property(
    fc.array(fc.integer({ min: -40, max: 40 }), {
      minLength: 12,
      maxLength: 12,
    }),
    fc.integer({ min: 1, max: 4 }),
    (values, topK) => {
      const logits = Float32Array.from(values, (value) => value / 2);
      const shape = { batch: 1, length: 3, vocabSize: 4, topK };
      const ids = Int32Array.of(3, 1, 2);
      const top = topLogprobsOf(logits, ids, shape);
      for (let t = 0; t < 3; t++) {
        const row = [...logits.subarray(t * 4, t * 4 + 4)];
        const logZ = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
        const order = [0, 1, 2, 3].sort((x, y) => row[y]! - row[x]! || x - y);
        assert.deepEqual(
          [...top.topkIds.subarray(t * topK, (t + 1) * topK)],
          order.slice(0, topK),
        );
        assertAllClose(
          top.topkLogprobs.subarray(t * topK, (t + 1) * topK),
          order.slice(0, topK).map((id) => row[id]! - logZ),
          // f32 rounding of the result.
          { rtol: 1e-6, atol: 1e-6 },
        );
        const label = t < 2 ? row[ids[t + 1]!]! - logZ : NaN;
        if (t === 2) assert.ok(Number.isNaN(top.labelLogprobs[t]));
        else {assertAllClose([top.labelLogprobs[t]!], [label], {
            rtol: 1e-6,
            atol: 1e-6,
          });}
      }
    },
  ));
});

Deno.test("topLogprobsOf() gives NaN for a row with NaN", () => {
  const shape = { batch: 1, length: 2, vocabSize: 3, topK: 2 };
  const logits = Float32Array.of(1, NaN, 0, 1, 2, 3);
  const top = topLogprobsOf(logits, Int32Array.of(0, 2), shape);
  assert.ok(top.topkLogprobs.subarray(0, 2).every(Number.isNaN));
  assert.ok(Number.isNaN(top.labelLogprobs[0]));
  assert.deepEqual([...top.topkIds.subarray(2)], [2, 1]);
  assert.throws(
    () => topLogprobsOf(logits, new Int32Array(2), { ...shape, topK: 4 }),
    RangeError,
  );
});
