import assert from "node:assert/strict";
import { join } from "node:path";
import { shuffleTeacher, smoothLabels } from "#/runs/demo/controls.ts";
import { datasets, readRows, writeDataset } from "#/shards/mod.ts";
import { alignedRows, representationRows } from "#/tests/shard_rows.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const plan = { stage: "test", options: {}, inputs: {} };

Deno.test("smoothLabels() teaches every label and nothing at the last row", () =>
  inTemporaryDirectory(async (directory) => {
    const [from, to] = [join(directory, "from"), join(directory, "to")];
    const rows = representationRows(5);
    await writeDataset(
      { ...plan, out: from, schema: datasets.representations },
      () => rows,
    );
    await smoothLabels(from, to, 0.25);
    const smoothed = await Array.fromAsync(readRows(to, datasets.aligned));
    assert.equal(smoothed.length, rows.length);
    smoothed.forEach((row, i) => {
      const { inputIds } = rows[i]!;
      assert.deepEqual([...row.topkIds], [...inputIds.slice(1), -1]);
      const last = inputIds.length - 1;
      row.topkLogprobs.forEach((logprob, t) => {
        // Stored as f16.
        const expected = t < last ? Math.f16round(Math.log(0.75)) : -Infinity;
        assert.equal(logprob, expected);
        assert.equal(row.weight[t], t < last ? 1 : 0);
      });
    });
  }));

Deno.test("shuffleTeacher() deals a block's distributions out anew", () =>
  inTemporaryDirectory(async (directory) => {
    const [from, to] = [join(directory, "from"), join(directory, "to")];
    await writeDataset(
      { ...plan, out: from, schema: datasets.aligned },
      () => alignedRows(representationRows(5)),
    );
    await shuffleTeacher(from, to, 0);
    const before = await Array.fromAsync(readRows(from, datasets.aligned));
    const after = await Array.fromAsync(readRows(to, datasets.aligned));
    const dealt = ({ topK, topkIds, topkLogprobs, weight }: typeof before[0]) =>
      [...weight.keys()].filter((t) => weight[t]! > 0).map((t) => {
        const [first, end] = [t * topK, (t + 1) * topK];
        return [...topkIds.slice(first, end), ...topkLogprobs.slice(first, end)]
          .join();
      });
    after.forEach((row, i) => {
      assert.deepEqual(row.weight, before[i]!.weight);
      assert.deepEqual(dealt(row).sort(), dealt(before[i]!).sort());
    });
    assert.notDeepEqual(after.map(dealt), before.map(dealt));
  }));
