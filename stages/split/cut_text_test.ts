import assert from "node:assert/strict";
import fc from "fast-check";
import { type RealTokenizer, realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer, startId, type Tokenizer } from "#/tokenizers/mod.ts";
import { cutText } from "./cut_text.ts";

const load = async (name: RealTokenizer) =>
  await loadTokenizer(await realTokenizer(name));
const tokenizers = await Promise.all(
  (["llama2", "gpt2", "qwen3"] as const).map(load),
);

const text = fc.array(
  fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.string({ unit: "binary" }),
    fc.lorem({ maxCount: 12 }),
    fc.constantFrom(
      "\n",
      "\n\n",
      "  ",
      "👩‍👩‍👧‍👦",
      "日本語の文章",
      "e\u0301",
      "▁",
      "</s>",
    ),
  ),
  { maxLength: 25 },
).map((parts) => parts.join(""));

/** Tokens of a block as later stages feed them to a model. */
function fed(tokenizer: Tokenizer, block: string): number {
  const start = startId(tokenizer) === undefined ? 0 : 1;
  const end = tokenizer.special.eos === undefined ? 0 : 1;
  return tokenizer.encode(block).ids.length + start + end;
}

for (const count of [1, 2, 3]) {
  const some = tokenizers.slice(0, count);

  Deno.test(`cutText() loses nothing with ${count} tokenizers`, () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 16, max: 64 }), (text, max) => {
        const blocks = cutText(text, some, max);
        assert.equal(
          blocks.map(({ text }) => text).join(""),
          text.toWellFormed(),
        );
        assert.ok(blocks.every(({ text }) => text !== ""));
      }),
    );
  });

  Deno.test(`cutText() fits every block into each of ${count} tokenizers`, () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 16, max: 64 }), (text, max) => {
        for (const block of cutText(text, some, max)) {
          for (const tokenizer of some) {
            assert.ok(fed(tokenizer, block.text) <= max);
          }
        }
      }),
    );
  });

  Deno.test(`cutText() cuts where each of ${count} tokenizers has a boundary`, () => {
    fc.assert(fc.property(text, (text) => {
      const encodings = some.map((each) => each.encode(text));
      let end = 0;
      for (const { text: block, isCommon } of cutText(text, some, 24)) {
        end += new TextEncoder().encode(block).length;
        for (const { byteEnds } of isCommon ? encodings : []) {
          assert.ok(byteEnds.includes(end));
        }
      }
    }));
  });
}

Deno.test("cutText() gives an empty text no blocks", () => {
  assert.deepEqual(cutText("", tokenizers, 16), []);
});

Deno.test("cutText() leaves a text that fits whole", () => {
  const [block, ...others] = cutText("Call me Ishmael.\n", tokenizers, 32);
  assert.equal(block!.text, "Call me Ishmael.\n");
  assert.equal(block!.tokens, fed(tokenizers[0]!, block!.text));
  assert.deepEqual(others, []);
});

Deno.test("cutText() prefers the ends of paragraphs, lines and words", () => {
  const words = "some words of a line";
  const blocksOf = (text: string) =>
    cutText(text, tokenizers, 128).map(({ text }) => text);
  for (const block of blocksOf(`${words}\n\n`.repeat(60))) {
    assert.match(block, /\n\n$/);
  }
  for (const block of blocksOf(`${words}\n`.repeat(60)).slice(1)) {
    assert.match(block, /^\nsome|^some/);
  }
  for (const block of blocksOf(`${words} `.repeat(60)).slice(1)) {
    assert.match(block, /^ /);
  }
});

Deno.test("cutText() uses most of every block", () => {
  const blocks = cutText(
    "It was a bright cold day in April. ".repeat(200),
    tokenizers,
    128,
  );
  for (const { tokens } of blocks.slice(0, -1)) assert.ok(tokens > 128 / 2);
});

Deno.test("cutText() cuts at code points where no boundary is common", () => {
  // A run of one character is one long word: boundaries rarely agree.
  const text = "ﷺ".repeat(100);
  const blocks = cutText(text, tokenizers, 16);
  assert.equal(blocks.map(({ text }) => text).join(""), text);
});

Deno.test("cutText() takes a text of several segments", () => {
  const text = "The same sentence, again and again; 1 2 3.\n".repeat(30_000);
  const blocks = cutText(text, tokenizers.slice(0, 2), 2048);
  assert.ok(blocks.every(({ isCommon }) => isCommon));
  assert.ok(blocks.slice(0, -1).every(({ tokens }) => tokens > 1900));
  assert.equal(
    blocks.reduce((sum, { text }) => sum + text.length, 0),
    text.length,
  );
});

Deno.test("cutText() throws if a code point does not fit", () => {
  assert.throws(
    () => cutText("a🫠", tokenizers, 5),
    /^RangeError: Cannot cut a text: the code point "🫠" is .* tokens, expected at most 3, 3, 3/,
  );
});
