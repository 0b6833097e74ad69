import assert from "node:assert/strict";
import fc from "fast-check";
import { dtw } from "#/stages/dtw.ts";

const token = fc.constantFrom("a", "ab", "b", "abc", "", "▁a", "😀b");
const tokens = fc.array(token, { minLength: 1, maxLength: 13 });

Deno.test("dtw() goes from start to end, one step at a time", () => {
  fc.assert(fc.property(tokens, tokens, (source, target) => {
    const { matches } = dtw(source, target);
    assert.deepEqual(matches[0], [0, 0]);
    assert.deepEqual(matches.at(-1), [source.length - 1, target.length - 1]);
    matches.slice(1).forEach(([s, t], k) => {
      const [ds, dt] = [s - matches[k]![0], t - matches[k]![1]];
      assert.ok(ds >= 0 && ds <= 1 && dt >= 0 && dt <= 1 && ds + dt > 0);
    });
  }));
});

Deno.test("dtw() pairs equal sequences one to one, at no cost", () => {
  fc.assert(fc.property(tokens, (source) => {
    const { distance, sourceToTarget, targetToSource } = dtw(source, source);
    const diagonal = source.map((_, k) => [k]);
    assert.equal(distance, 0);
    assert.deepEqual(sourceToTarget, diagonal);
    assert.deepEqual(targetToSource, diagonal);
  }));
});

Deno.test("dtw() rejects an empty sequence", () => {
  assert.throws(() => dtw([], ["a"]), {
    name: "RangeError",
    message: "Cannot warp sequences: lengths are 0 and 1, expected at least 1",
  });
});

Deno.test("dtw() warps 2048 tokens well under a second", () => {
  const long = (step: number) =>
    Array.from({ length: 2048 }, (_, k) => `tok${(k * step) % 701}`);
  const start = performance.now();
  dtw(long(1), long(3));
  // 60 ms here; a shared machine may be ten times slower.
  assert.ok(performance.now() - start < 1000);
});

interface Case {
  label: string;
  blending_special: string;
  base_special: string;
  blending_tokens: string[];
  base_tokens: string[];
  matches: [number, number][];
  distance: number;
  blending_to_base: number[][];
  base_to_blending: number[][];
}

const golden = new URL(
  "../../shared/golden/reference/dtw.json",
  import.meta.url,
);
const cases: Case[] | undefined = await Deno.readTextFile(golden)
  .then((text) => JSON.parse(text).cases, () => undefined);

Deno.test({
  name: "dtw() gives PTA-LLM's matches" +
    (cases ? "" : " (skipped: shared/golden absent)"),
  ignore: !cases,
  fn() {
    for (const each of cases!) {
      const bare = (tokens: string[], marker: string) =>
        tokens.map((token) => token.replaceAll(marker, ""));
      const warping = dtw(
        bare(each.blending_tokens, each.blending_special),
        bare(each.base_tokens, each.base_special),
      );
      assert.deepEqual(warping, {
        matches: each.matches,
        distance: each.distance,
        sourceToTarget: each.blending_to_base,
        targetToSource: each.base_to_blending,
      }, each.label);
    }
  },
});
