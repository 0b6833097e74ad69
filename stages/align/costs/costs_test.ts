import assert from "node:assert/strict";
import fc from "fast-check";
import { type CostName, costs } from "#/stages/align/costs/mod.ts";
import { TokenRelations } from "#/stages/align/token_relations.ts";
import { mapVocab } from "#/stages/map_vocab/map_vocab.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";

const target = tinyTokenizer(["<s>", "th", "the", "▁the", "ing", "i", "n"], {
  special: { bos: 0 },
});
const embeddings = {
  values: Float32Array.from(
    [[0, 0], [1, 0], [1, 1], [-1, 1], [0, 2], [0, 1], [0, -1]].flat(),
  ),
  width: 2,
};
const names = Object.keys(costs) as CostName[];
const bytesOf = (text: string) => new TextEncoder().encode(text);

Deno.test("prefixOverlap() counts the bytes behind what is common", () => {
  const cost = costs["prefix-overlap"].make({ target });
  const of = (from: string, to: string) => cost(bytesOf(from), bytesOf(to));
  assert.equal(of("thing", "th"), 3);
  assert.equal(of("thing", "ing"), 8);
  assert.equal(of("thing", "thing"), 0);
});

Deno.test("firstPiece() is 0 for what the target would write first", () => {
  const cost = costs["first-piece"].make({ target });
  const of = (from: string, to: string) => cost(bytesOf(from), bytesOf(to));
  assert.equal(of("thing", "th"), 0);
  assert.equal(of("thing", "ing"), 3);
  assert.equal(of("then", "the"), 0);
  assert.equal(of("then", "th"), 3);
});

Deno.test("embedding() is the cosine distance, of pieces their mean's", () => {
  const cost = costs["embedding"].make({ target, embeddings });
  const of = (from: string, to: string) => cost(bytesOf(from), bytesOf(to));
  // Rows 1 and 4 are at a right angle, rows 5 and 6 opposite each other.
  assertAllClose(
    [of("th", "ing"), of("thing", "th"), of("i", "n"), of("in", "the")],
    [2, 2 - 1 / Math.sqrt(5), 3, 2],
    { rtol: 1e-12, atol: 0 },
  );
  assert.throws(() => costs["embedding"].make({ target }), {
    name: "RangeError",
    message: /^Cannot tell the cost of embeddings: there are none, expected/,
  });
});

for (const cost of names) {
  Deno.test(`${cost} costs nothing to an exact image only, else at least 1`, () => {
    const words = fc.string({
      unit: fc.constantFrom("t", "h", "e", "i", "n", "g", "▁"),
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(fc.property(fc.uniqueArray(words, { minLength: 1 }), (some) => {
      const source = tinyTokenizer(some);
      const mapping = [...mapVocab(target, source)];
      const relation = new TokenRelations(target, source, mapping, {
        ...{ cost, embeddings },
      })
        .at(false, false);
      const ids = target.tokens.map((_, id) => id);
      some.forEach((token, sourceId) => {
        const into = new Float32Array(ids.length);
        relation.costs(sourceId, ids, into);
        into.forEach((value, id) => {
          if (target.tokens[id] === token) assert.equal(value, 0);
          else assert.ok(value >= 1);
        });
      });
    }));
  });
}
