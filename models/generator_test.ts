import assert from "node:assert/strict";
import { openGenerator, openScorer } from "#/models/mod.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";

const stories =
  new URL("../../shared/golden/stories260k", import.meta.url).pathname;
const isThere = await Deno.stat(stories).then(() => true, () => false);

Deno.test({
  name: "openGenerator() reproduces greedy.txt to the letter" +
    (isThere ? "" : " (skipped: shared/golden absent)"),
  ignore: !isThere,
  async fn() {
    const expected = await Deno.readTextFile(`${stories}/greedy.txt`);
    const tokenizer = await loadTokenizer(stories);
    await using generator = await openGenerator(stories);
    const ids: number[] = [];
    let logits = await generator.prefill([1]);
    while (tokenizer.decode(ids).length < expected.trimEnd().length) {
      ids.push(argmax(logits));
      assert.ok(ids.length < 500, "no end");
      logits = await generator.next(ids.at(-1)!);
    }
    assert.equal(tokenizer.decode(ids).trim(), expected.trim());
  },
});

Deno.test({
  name: "openGenerator() gives the logits of openScorer() however it is fed" +
    (isThere ? "" : " (skipped: shared/golden absent)"),
  ignore: !isThere,
  async fn() {
    const ids = [1, 403, 407, 261, 378, 400, 7];
    await using scorer = await openScorer(stories);
    await using generator = await openGenerator(stories);
    const { vocabSize: V } = scorer;
    const all = await scorer.logits(Int32Array.from(ids), 1, ids.length);
    for (const first of [1, 3, ids.length]) {
      const steps = [await generator.prefill(ids.slice(0, first))];
      for (const id of ids.slice(first)) steps.push(await generator.next(id));
      for (const [i, logits] of steps.entries()) {
        const row = first - 1 + i;
        // The same sums in another order: a few f32 ulps of the largest logits.
        assertAllClose(logits, all.subarray(row * V, (row + 1) * V), {
          rtol: 1e-4,
          atol: 1e-4,
        });
      }
    }
  },
});

function argmax(logits: Float32Array): number {
  return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
}
