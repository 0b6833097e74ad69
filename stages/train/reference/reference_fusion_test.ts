import assert from "node:assert/strict";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  chunkMetrics,
  documentMetric,
  fusionAsPublished,
  type FusionDefect,
  referenceAvgCe,
  referenceMinCe,
} from "./reference_fusion.ts";

const without = (...names: FusionDefect[]) => ({
  ...fusionAsPublished,
  ...Object.fromEntries(names.map((name) => [name, false])),
});

Deno.test("documentMetric() takes the mean over tokens, in f16, as published", () => {
  const labelLogprobs = [-1.0004, -3.0004, NaN];
  const loss = { labelLogprobs, bytes: 8 };
  assert.equal(documentMetric(loss), 2);
  assert.equal(documentMetric(loss, without("f16-metrics")), 2.0004);
  const fair = documentMetric(loss, without("f16-metrics", "loss-per-token"));
  assertAllClose([fair], [4.0008 / Math.LN2 / 8], { rtol: 1e-15, atol: 0 });
});

Deno.test("chunkMetrics() takes one mean for all documents of a chunk", () => {
  assert.deepEqual(chunkMetrics([1, 1, 4]), [2, 2, 2]);
  assert.deepEqual(chunkMetrics([1, 1, 4], without("chunk-choice")), [1, 1, 4]);
});

Deno.test("referenceMinCe() cannot tell close models apart, as published", () => {
  const metrics = [2.504, 2.502];
  assert.equal(referenceMinCe(metrics, { hasTarget: true }), 0);
  assert.equal(referenceMinCe([2.502, 2.504], { hasTarget: false }), 1);
  const defects = without("bf16-rewards");
  assert.equal(referenceMinCe(metrics, { hasTarget: true, defects }), 1);
  assert.equal(
    referenceMinCe([2.502, 2.504], { hasTarget: false, defects }),
    0,
  );
  assert.equal(referenceMinCe([3, 1, 2], { hasTarget: false }), 1);
});

Deno.test("referenceAvgCe() shares out nearly evenly, as published", () => {
  assert.deepEqual(referenceAvgCe([2, 6]), [0.53515625, 0.466796875]);
  assertAllClose(
    referenceAvgCe([2, 6], without("bf16-rewards", "softmax-of-rewards")),
    [1 / (1 + Math.exp(-4)), 1 / (1 + Math.exp(4))],
    { rtol: 1e-15, atol: 0 },
  );
});
