import { tilesFor } from "#/models/mod.ts";
import { trainingStep } from "#/tests/bench_models.ts";

// One layer with few tokens, so that attention is most of it, forward and
// backward: all queries at once, and in the tiles that the length asks for.
for (const length of [512, 1024, 2048]) {
  const group = `attention over ${length} tokens`;
  const sizes = { length, layers: 1, vocabSize: 64, hidden: 128 };
  for (const tiles of [1, tilesFor(length)]) {
    Deno.bench(
      tiles === 1 ? "whole" : `${tiles} tiles`,
      { group, baseline: tiles === 1, n: 10, warmup: 2 },
      trainingStep({ ...sizes, tiles }),
    );
  }
}
