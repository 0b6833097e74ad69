import assert from "node:assert/strict";
import {
  datasets,
  readRows,
  type RepresentationRow,
  writeDataset,
} from "#/shards/mod.ts";
import { shardPaths } from "#/shards/layout.ts";
import { contextFreeRow } from "#/tests/context_free_row.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";

const TOKENS = 1500;
const BLOCKS = 10;

/**
 * Rows over a vocabulary whose tokens are the rarer the higher their ids, as BPE
 * numbers them: 10.0 bits a token of 32,000, which is English, and 11.2 of
 * 151,669, of which English takes 10.3.
 */
function zipfRows(vocabulary: number): RepresentationRow[] {
  const random = mulberry32(vocabulary);
  const draw = () => Math.floor(vocabulary ** random() ** 1.25);
  return Array.from({ length: BLOCKS }, (_, block) => {
    let end = 0;
    const inputIds = Int32Array.from({ length: TOKENS }, draw);
    const byteEnds = inputIds.map(() => end += 1 + Math.floor(random() * 8));
    const id = `block ${block}`;
    return contextFreeRow({ id, inputIds, byteEnds }, draw, random);
  });
}

for (const vocabulary of [32_000, 151_669]) {
  Deno.test(`writeDataset() takes at most 45 bytes a token, top-10 of ${vocabulary}, and loses none`, () =>
    inTemporaryDirectory(async (out) => {
      const rows = zipfRows(vocabulary);
      const schema = datasets.representations;
      const plan = { out, stage: "represent", options: {}, inputs: {}, schema };
      await writeDataset(plan, () => rows);
      const sizes = shardPaths(out).map((path) => Deno.statSync(path).size);
      const bytes = sizes.reduce((sum, size) => sum + size, 0);
      const each = bytes / (BLOCKS * TOKENS);
      assert.ok(each <= 45, `${each} bytes a token`);
      const read = await Array.fromAsync(readRows(out, schema));
      assert.deepEqual(
        read,
        rows.map((row) => ({
          ...row,
          topkLogprobs: Float32Array.from(Float16Array.from(row.topkLogprobs)),
        })),
      );
    }));
}
