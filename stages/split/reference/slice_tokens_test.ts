import assert from "node:assert/strict";
import { type RealTokenizer, realTokenizer } from "#/tests/real_tokenizers.ts";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { sliceTokens } from "./slice_tokens.ts";

const load = async (name: RealTokenizer) =>
  await loadTokenizer(await realTokenizer(name));
const [llama, gpt2] = await Promise.all(
  (["llama2", "gpt2"] as const).map(load),
);
const none = { "fixed-slack": false, "space-clean-up": false };
const textsOf = (...args: Parameters<typeof sliceTokens>) =>
  sliceTokens(...args).map(({ text }) => text);

Deno.test("sliceTokens() leaves a text that fits as it is", () => {
  const text = " </s> It isn 't . ";
  assert.deepEqual(
    textsOf(text, [llama!, gpt2!], 64, { ...none, "space-clean-up": true }),
    [text],
  );
  assert.deepEqual(textsOf("", [llama!], 64, none), []);
});

Deno.test("sliceTokens() loses the space at a cut of SentencePiece tokens", () => {
  const text = "one two three four five six seven eight";
  const pieces = textsOf(text, [llama!], 6, none);
  assert.ok(pieces.length > 1);
  // Each slice but the first begins with a space that is taken for virtual.
  assert.notEqual(pieces.join(""), text);
  assert.equal(pieces.join(" "), text);
});

Deno.test("sliceTokens() breaks characters that are several tokens", () => {
  const pieces = textsOf("山".repeat(40), [gpt2!], 12, none);
  assert.ok(pieces.some((piece) => piece.includes("\ufffd")));
});

Deno.test("sliceTokens() deletes special tokens that the text spells", () => {
  const tokenizer = tinyTokenizer(["<s>", "a", "b"], { special: { bos: 0 } });
  const encode = () => ({
    ids: Int32Array.of(1, 0, 2, 1),
    byteEnds: Int32Array.of(1, 4, 5, 6),
  });
  assert.deepEqual(
    textsOf("a<s>ba", [{ ...tokenizer, encode }], 5, none),
    ["ab", "a"],
  );
});

Deno.test("sliceTokens() goes by the tokenizer that needs most tokens", () => {
  const text = "antidisestablishmentarianism ".repeat(20).trim();
  const counts = [llama!, gpt2!].map((each) => each.encode(text).ids.length);
  const most = counts[0]! > counts[1]! ? llama! : gpt2!;
  const pieces = textsOf(text, [llama!, gpt2!], 34, none);
  assert.equal(pieces.length, Math.ceil(Math.max(...counts) / 32));
  assert.equal(
    pieces[0],
    most.decode(most.encode(text).ids.subarray(0, 32)),
  );
});

Deno.test("sliceTokens() cleans spaces up where decoding does by default", () => {
  const text = "Well , I 'm sure they do n't know ! ".repeat(9);
  const options = { ...none, "space-clean-up": true };
  assert.match(
    textsOf(text, [gpt2!], 32, options)[0]!,
    /^Well, I'm sure they don't know!/,
  );
  assert.match(textsOf(text, [llama!], 32, options)[0]!, /^Well , I 'm sure/);
});

Deno.test("sliceTokens() leaves 48 tokens free, as published", () => {
  const text = "a b c d e f g h i j k l m n o p q r s t u v w x y z";
  const pieces = textsOf(text, [gpt2!], 60, { ...none, "fixed-slack": true });
  assert.equal(gpt2!.encode(pieces[0]!).ids.length, 12);
  assert.throws(
    () => sliceTokens(text, [gpt2!], 48, { ...none, "fixed-slack": true }),
    /Cannot slice tokens: 48 leave no room, expected more than 48/,
  );
});
