import assert from "node:assert/strict";
import { join } from "node:path";
import { openCheckpoint, readWeight } from "#/models/mod.ts";
import { retokenize } from "#/runs/ablation/retokenize.ts";
import { cast } from "#/runs/demo/cast.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";

const table = "transformer.wte.weight";

async function embeddings(model: string): Promise<Float32Array> {
  const { weights } = await openCheckpoint(model);
  return await readWeight(weights.get(table)!);
}

Deno.test("retokenize() gives a token the mean of what wrote it", () =>
  inTemporaryDirectory(async (directory) => {
    const source = cast.sources.speeches!;
    const out = join(directory, "model");
    await retokenize(source, cast.target, out);
    const [before, after] = [await embeddings(source), await embeddings(out)];
    const [theirs, ours] = [
      await loadTokenizer(source),
      await loadTokenizer(cast.target),
    ];
    const width = before.length / theirs.vocabSize;
    assert.equal(after.length, ours.vocabSize * width);
    for (const word of [" the", " Leviathan"]) {
      const id = ours.encode(`a${word}`).ids.at(-1)!;
      assert.equal(new TextDecoder().decode(ours.tokenBytes[id]), word);
      const pieces = theirs.encode(word).ids;
      for (let d = 0; d < width; d++) {
        const mean = [...pieces].reduce(
          (sum, piece) => sum + before[piece * width + d]! / pieces.length,
          0,
        );
        // Rounded to f32 after every sum.
        assert.ok(Math.abs(after[id * width + d]! - mean) < 1e-6);
      }
    }
    const { config } = await openCheckpoint(out);
    assert.equal(config.vocab_size, ours.vocabSize);
    assert.equal(config.bos_token_id, ours.special.bos);
  }));

Deno.test("retokenize() wants one table of embeddings", () =>
  inTemporaryDirectory((directory) =>
    assert.rejects(
      retokenize(join(directory, "none"), cast.target, directory),
      /none/,
    )
  ));
