import { alignedPair } from "#/bench/aligned_pair.ts";
import type { Comparison, PeerBench } from "#/bench/comparison.ts";
import { datasets, writeDataset } from "#/shards/mod.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

/** Nested lists of int64 and f32 as Hugging Face datasets stores them: quoted. */
const LISTS = 100;

/** What a token's top-10 takes on disk. */
export const bytesPerTokenBench: PeerBench = {
  name: "bytes-per-token",
  async run() {
    const { targetRows } = await alignedPair(16);
    const tokens = targetRows.reduce(
      (sum, { inputIds }) => sum + inputIds.length,
      0,
    );
    const lines: Comparison[] = [];
    await inTemporaryDirectory(async (root) => {
      const out = `${root}/representations`;
      const schema = datasets.representations;
      const inputs = { text: new URL(import.meta.url).pathname };
      await writeDataset(
        { out, stage: "represent", options: {}, inputs, schema },
        ({ rows }) => targetRows.slice(rows),
      );
      let bytes = 0;
      for await (const { name } of Deno.readDir(out)) {
        if (!name.endsWith(".arrow")) continue;
        bytes += (await Deno.stat(`${out}/${name}`)).size;
      }
      const each = bytes / tokens;
      lines.push({
        work: "bytes per token at rest, top-10",
        ours: `${each.toFixed(1)} B`,
        peer: `nested lists: about ${LISTS} B (quoted)`,
        ratio: LISTS / each,
        goal: "45 B",
      });
    });
    return lines;
  },
};
