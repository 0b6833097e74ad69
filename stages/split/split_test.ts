import assert from "node:assert/strict";
import fc from "fast-check";
import type { InputDocument } from "#/shards/mod.ts";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { chooseDocument } from "./document_choice.ts";
import { mapInOrder } from "#/stages/map_in_order.ts";
import { split } from "./split.ts";

const tokenizers = [await loadTokenizer(await realTokenizer("gpt2"))];

function documentsOf(texts: readonly string[]): InputDocument[] {
  return texts.map((text, row) => ({
    id: `a.jsonl:${row}`,
    text,
    file: "a.jsonl",
    row,
  }));
}

Deno.test("split() numbers the blocks of every document and marks the last", async () => {
  const documents = documentsOf([
    "one two three four five six seven ".repeat(3),
    "",
    "x",
  ]);
  const rows = await Array.fromAsync(
    split(documents, tokenizers, { maxTokens: 12 }),
  );
  for (const { id, text } of documents) {
    const own = rows.filter(({ document }) => document === id);
    assert.equal(own.map(({ text }) => text).join(""), text);
    assert.deepEqual(
      own.map(({ block }) => block),
      own.map((_, index) => index),
    );
    assert.deepEqual(
      own.map(({ last }) => last),
      own.map((_, index) => index === own.length - 1),
    );
  }
  assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length);
  assert.equal(rows.at(-1)!.document, "a.jsonl:2");
});

Deno.test("split() names the document that cannot be cut", async () => {
  await assert.rejects(
    Array.fromAsync(
      split(documentsOf(["a", "🫠"]), tokenizers, { maxTokens: 3 }),
    ),
    /^RangeError: Cannot split document 1 of a\.jsonl: Cannot cut a text/,
  );
});

Deno.test("split() cuts what follows a long document meanwhile, and keeps the order", async () => {
  const texts = ["long", "a", "b", "c", "d", "e"];
  let begun = 0;
  const cut = async (text: string) => {
    begun++;
    // All others are cut before it.
    while (text === "long" && begun < texts.length) {
      await new Promise((resolve) => setTimeout(resolve));
    }
    return [{ text, tokens: 1, isCommon: true }];
  };
  const rows = split(documentsOf(texts), [], { cut, concurrency: 2 });
  const written = await Array.fromAsync(rows, ({ text }) => text);
  assert.deepEqual(written, texts);
});

Deno.test("split() reads ahead no more than long documents take", async () => {
  const text = "a".repeat(2 ** 20);
  let read = 0;
  function* documents() {
    for (; read < 9; read++) yield* documentsOf([text]);
  }
  const cut = (text: string) => [{ text, tokens: 1, isCommon: true }];
  const rows = split(documents(), [], { cut, concurrency: 2 });
  await rows.next();
  assert.ok(read <= 2, `${read}`);
  await rows.return(undefined);
});

Deno.test("chooseDocument() takes about the shares that are asked for", () => {
  const texts = Array.from({ length: 4000 }, (_, index) => `document ${index}`);
  const options = { validation: 0.1, sample: 0.5, seed: 0 };
  const choices = texts.map((text) => chooseDocument(text, options));
  const share = (choice: string) =>
    choices.filter((each) => each === choice).length / texts.length;
  // Five standard deviations of a binomial share are 0.04 here.
  assert.ok(Math.abs(share("none") - 0.5) < 0.04);
  assert.ok(Math.abs(share("validation") - 0.05) < 0.04);
});

Deno.test("chooseDocument() makes a smaller sample a part of a larger one", () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (text, sample) => {
        const options = { validation: 0.3, seed: 1 };
        const small = chooseDocument(text, { ...options, sample: sample / 2 });
        const large = chooseDocument(text, { ...options, sample });
        assert.ok(small === "none" || small === large);
      },
    ),
  );
});

Deno.test("mapInOrder() keeps the order and the limit", async () => {
  let underWay = 0;
  const results = mapInOrder([30, 10, 20, 0, 5], 3, async (delay) => {
    assert.ok(++underWay <= 3);
    await new Promise((resolve) => setTimeout(resolve, delay));
    underWay--;
    return delay;
  });
  assert.deepEqual(await Array.fromAsync(results), [30, 10, 20, 0, 5]);
});
