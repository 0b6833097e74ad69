import assert from "node:assert/strict";
import fc from "fast-check";
import { editDistance } from "#/kernels/mod.ts";
import { isFurther, sketchOf } from "#/stages/align/edit_bound.ts";
import { NearestTokens } from "#/stages/align/nearest_tokens.ts";
import { byteVocabulary } from "#/stages/byte_vocabulary.ts";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";

const words = fc.string({
  unit: fc.constantFrom("a", "b", "c", "z", "▁"),
  minLength: 1,
  maxLength: 5,
});

Deno.test("isFurther() never says so of strings that are nearer", () => {
  const bytes = fc.uint8Array({ maxLength: 80 });
  fc.assert(fc.property(bytes, bytes, fc.nat(9), (one, other, edits) => {
    const distance = editDistance(one, other);
    if (isFurther(sketchOf(one), sketchOf(other), edits)) {
      assert.ok(distance > edits, `${distance} edits, told more than ${edits}`);
    }
  }));
  const sketch = (text: string) => sketchOf(new TextEncoder().encode(text));
  assert.ok(isFurther(sketch("the"), sketch("dog"), 2));
  assert.ok(isFurther(sketch("a"), sketch("aaaa"), 2));
  assert.ok(!isFurther(sketch("the"), sketch("dog"), 3));
});

Deno.test("NearestTokens.find() finds what byteVocabulary() does", () => {
  fc.assert(fc.property(
    fc.uniqueArray(words, { minLength: 1, maxLength: 30 }),
    words,
    (tokens, word) => {
      // The byte token of `a` counts only where no other token is `a`.
      const target = tinyTokenizer(["<s>", "<0x61>", ...tokens], {
        special: { bos: 0 },
      });
      const bytes = new TextEncoder().encode(word.replaceAll("▁", " "));
      const { ids, nearest } = byteVocabulary(target);
      const { index, distance } = nearest.find(bytes);
      const finder = new NearestTokens(target);
      const expected = { targetId: ids[index]!, distance };
      assert.deepEqual(finder.find(bytes, Infinity), expected);
      const exact = distance === 0 ? expected : undefined;
      assert.deepEqual(finder.find(bytes, 0), exact);
    },
  ));
});
