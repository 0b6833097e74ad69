import assert from "node:assert/strict";
import fc from "fast-check";
import type { VocabMappingRow } from "#/shards/mod.ts";
import {
  mapVocab,
  type MapVocabOptions,
} from "#/stages/map_vocab/map_vocab.ts";
import {
  type MapMethod,
  type MapMethodName,
  methods,
} from "#/stages/map_vocab/methods/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

const names = Object.keys(methods) as MapMethodName[];
const letters = ["a", "b", "c", "▁"];
const words = fc.uniqueArray(
  fc.string({
    unit: fc.constantFrom(...letters),
    minLength: 2,
    maxLength: 5,
  }),
  { minLength: 1, maxLength: 12 },
);
const corpus = ["abc cab a", "bab acc", " ba  c"];

/** A tokenizer that can write every text of the letters. */
function tokenizer(some: readonly string[]): Tokenizer {
  const tokens = ["<s>", "", ...letters, ...some];
  return tinyTokenizer(tokens, { special: { bos: 0 } });
}

function map(
  target: Tokenizer,
  source: Tokenizer,
  options: MapVocabOptions,
): VocabMappingRow[] {
  return [...mapVocab(target, source, options, corpus)];
}

/** Images of one token, spelled, with their weights. */
function imagesOf(
  [target, source]: [Tokenizer, Tokenizer],
  token: string,
  options: MapVocabOptions,
  texts: readonly string[] = corpus,
): Record<string, number> {
  const wanted = source.tokens.indexOf(token);
  const rows = [...mapVocab(target, source, options, texts)]
    .filter(({ sourceId, weight }) => sourceId === wanted && weight > 0);
  return Object.fromEntries(
    rows.map(({ targetId, weight }) => [target.tokens[targetId]!, weight]),
  );
}

for (const method of names) {
  Deno.test(`mapVocab() by ${method} maps a tokenizer to itself by the identity`, () => {
    fc.assert(fc.property(words, (some) => {
      const same = tokenizer(some);
      for (const row of map(same, same, { method })) {
        const { sourceId, targetId, distance, weight } = row;
        const isHole = same.tokens[sourceId] === "";
        if (!isHole) assert.equal(targetId, sourceId);
        assert.equal(weight, isHole ? 0 : 1);
        assert.equal(distance, isHole ? Infinity : 0);
      }
    }));
  });

  Deno.test(`mapVocab() by ${method} gives every source id images that share one mass`, () => {
    fc.assert(fc.property(words, words, (mine, theirs) => {
      const [target, source] = [tokenizer(mine), tokenizer(theirs)];
      const masses = new Float64Array(source.vocabSize).fill(NaN);
      let last = 0;
      for (const { sourceId, ...image } of map(target, source, { method })) {
        assert.ok(sourceId >= last && image.weight >= 0);
        assert.ok(target.tokens[image.targetId] !== undefined);
        last = sourceId;
        masses[sourceId] = (masses[sourceId] || 0) + image.weight;
      }
      masses.forEach((mass) => {
        assert.ok(mass === 0 || Math.abs(mass - 1) < 1e-12, `${mass}`);
      });
    }));
  });
}

Deno.test("mapVocab() by exact-match leaves the others without an image", () => {
  const both: [Tokenizer, Tokenizer] = [tokenizer(["abc"]), tokenizer(["abb"])];
  assert.deepEqual(imagesOf(both, "abb", { method: "exact-match" }), {});
  assert.deepEqual(imagesOf(both, "a", { method: "exact-match" }), { a: 1 });
});

Deno.test("mapVocab() by first-piece takes what the target writes first", () => {
  const both: [Tokenizer, Tokenizer] = [
    tokenizer(["▁ab", "abcb"]),
    tokenizer(["▁abcb", "cb"]),
  ];
  const method = "first-piece";
  assert.deepEqual(imagesOf(both, "▁abcb", { method }), { "▁ab": 1 });
  assert.deepEqual(imagesOf(both, "cb", { method }), { c: 1 });
});

Deno.test("mapVocab() by min-edit-distance counts bytes or characters", () => {
  // Six bytes of which four differ, or two characters of which both do.
  const target = tinyTokenizer(["xxxx中", "éé"]);
  const both: [Tokenizer, Tokenizer] = [target, tinyTokenizer(["ああ中", "é"])];
  assert.deepEqual(imagesOf(both, "ああ中", { space: "bytes" }), {
    "xxxx中": 1,
  });
  assert.deepEqual(imagesOf(both, "ああ中", { space: "string" }), { "éé": 1 });
  assert.deepEqual(imagesOf(both, "é", { space: "string" }), { "éé": 1 });
});

Deno.test("mapVocab() by statistics takes what stands in the token's place", () => {
  const both: [Tokenizer, Tokenizer] = [
    tokenizer(["ab", "abca", "ca"]),
    tokenizer(["abc"]),
  ];
  const method = "statistics";
  // ab|ca in the corpus: at one edit, against two.
  assert.deepEqual(imagesOf(both, "abc", { method }, ["abca"]), { abca: 1 });
  assert.deepEqual(imagesOf(both, "abc", { method }, ["abcb"]), { ab: 1 });
  const two = imagesOf(both, "abc", { method, topK: 2 }, ["abcb abcb"]);
  // c shares bytes with it as often, but is two edits off.
  assert.deepEqual(Object.keys(two), ["ab", "c"]);
  assertAllClose(Object.values(two), [0.6, 0.4], { rtol: 1e-12, atol: 0 });
  // Not in the corpus: the nearest, and of several the smallest id.
  assert.deepEqual(imagesOf(both, "abc", { method }, ["b"]), { ab: 1 });
});

Deno.test("mapVocab() by co-occurrence takes the nearest that keeps the same company", () => {
  const both: [Tokenizer, Tokenizer] = [
    tokenizer(["aab", "aac"]),
    tokenizer(["aaa"]),
  ];
  const method = "co-occurrence";
  const at = (...texts: string[]) => imagesOf(both, "aaa", { method }, texts);
  // Both are one edit away; without anything to go by, the first.
  assert.deepEqual(at("b"), { aab: 1 });
  assert.deepEqual(at("caaac", "b aab b", "caacc"), { aac: 1 });
  assert.deepEqual(at("caaac", "caabc", "b aac b"), { aab: 1 });
});

Deno.test("mapVocab() by projection spreads over pieces and wholes", () => {
  const both: [Tokenizer, Tokenizer] = [
    tokenizer(["ab", "abcabc"]),
    tokenizer(["abc"]),
  ];
  const images = imagesOf(both, "abc", { method: "projection" });
  // abc is ab|c in the target; abcabc is abc|abc in the source.
  const total = 1 / 1.1 + 0.1 / 1.1 + 1;
  assert.deepEqual(Object.keys(images), ["abcabc", "ab", "c"]);
  const expected = [1, 1 / 1.1, 0.1 / 1.1].map((weight) => weight / total);
  assertAllClose(Object.values(images), expected, { rtol: 1e-12, atol: 0 });
  const top = imagesOf(both, "abc", { method: "projection", topK: 1 });
  assert.deepEqual(top, { abcabc: 1 });
});

for (const method of names) {
  const { settings }: MapMethod = methods[method];
  if (!settings.includes("text")) continue;
  Deno.test(`mapVocab() by ${method} wants a corpus`, () => {
    const one = tokenizer(["ab"]);
    assert.throws(() => [...mapVocab(one, one, { method })], {
      name: "RangeError",
      message: /^Cannot map by .*: there is no text, expected a corpus/,
    });
  });
}
