import assert from "node:assert/strict";
import { saveCheckpoint } from "#/models/mod.ts";
import { openScorerPool } from "#/stages/scorer_pool.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { lively, TINY_CONFIGS } from "#/tests/tiny_models.ts";

const config = TINY_CONFIGS["llama, grouped queries"];

Deno.test("openScorerPool() gives what one model gives, in workers or here", () =>
  inTemporaryDirectory(async (directory) => {
    await saveCheckpoint(directory, config, lively(config));
    const batches = [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [
      7,
      7,
      7,
      7,
      1,
      2,
    ]];
    const options = { device: "cpu", workers: 2 } as const;
    const said = async (sequences: number) => {
      await using scorer = await openScorerPool(directory, {
        ...options,
        sequences,
      });
      const { concurrency, vocabSize, contextLength } = scorer;
      const scores = await Promise.all(
        batches.map((ids) => scorer.topLogprobs(Int32Array.from(ids), 2, 3, 4)),
      );
      return { concurrency, sizes: [vocabSize, contextLength], scores };
    };
    const [here, one, two] = [await said(3), await said(16), await said(17)];
    assert.deepEqual(
      [here.concurrency, one.concurrency, two.concurrency],
      [1, 2, 4],
    );
    assert.deepEqual(one.scores, here.scores);
    assert.deepEqual(two.scores, here.scores);
    assert.deepEqual(two.sizes, here.sizes);
  }));

Deno.test("openScorerPool() says what is wrong with a model or a batch", () =>
  inTemporaryDirectory(async (directory) => {
    const options = { device: "cpu", workers: 2, sequences: 100 } as const;
    await assert.rejects(
      openScorerPool(`${directory}/absent`, options),
      /Cannot .*absent/,
    );
    await saveCheckpoint(directory, config, lively(config));
    await using scorer = await openScorerPool(directory, options);
    await assert.rejects(
      scorer.topLogprobs(Int32Array.of(1, 2), 1, 3, 1),
      new RangeError(
        "Cannot score: inputIds has 2 entries, expected [1, 3]",
      ),
    );
  }));
