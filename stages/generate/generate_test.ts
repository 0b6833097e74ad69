import assert from "node:assert/strict";
import fc from "fast-check";
import type { Generator } from "#/models/mod.ts";
import { call } from "#/stages/command.ts";
import { generate, type GenerateOptions } from "#/stages/generate/generate.ts";
import { command } from "#/stages/generate/main.ts";
import { sampler } from "#/stages/generate/sampling.ts";
import { byteTokenizer } from "#/tests/byte_model.ts";

/** A generator that wants to write certain ids, whatever it is given. */
function scripted(
  ids: readonly number[],
  contextLength = 100,
): Generator & { prompt: number[] } {
  let at = 0;
  const logits = () => {
    const values = new Float32Array(300);
    values[ids[at++] ?? 2] = 1;
    // Padding beyond the tokenizer's vocabulary, never to be picked.
    values[290] = 2;
    return Promise.resolve(values);
  };
  const generator = {
    vocabSize: 300,
    contextLength,
    prompt: [] as number[],
    prefill(prompt: Int32Array) {
      generator.prompt.push(...prompt);
      return logits();
    },
    next: logits,
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return generator;
}

const idsOf = (text: string) => [...byteTokenizer().encode(text).ids];

async function textOf(
  ids: readonly number[],
  prompt = "",
  options: GenerateOptions & { contextLength?: number; prefixSpace?: boolean } =
    {},
): Promise<string[]> {
  const { contextLength, prefixSpace = false, ...rest } = options;
  const tokenizer = { ...byteTokenizer(), prefixSpace };
  const model = { tokenizer, generator: scripted(ids, contextLength) };
  const tokens = await Array.fromAsync(generate(prompt, model, rest));
  return tokens.map(({ text }) => text);
}

Deno.test("generate() starts an empty prompt from BOS and stops before EOS", async () => {
  const generator = scripted([...idsOf("hi"), 2, ...idsOf("no")]);
  const tokenizer = byteTokenizer();
  const model = { tokenizer, generator };
  const tokens = await Array.fromAsync(generate("", model));
  assert.deepEqual(tokens.map(({ text }) => text), ["h", "i"]);
  assert.deepEqual(generator.prompt, [1]);
});

Deno.test("generate() stops at any end id of the model", async () => {
  const generator = scripted(idsOf("one. two."));
  const tokenizer = byteTokenizer();
  const endIds = [0, idsOf(".")[0]!];
  const model = { tokenizer, generator, endIds };
  const tokens = await Array.fromAsync(generate("", model));
  assert.equal(tokens.map(({ text }) => text).join(""), "one");
});

Deno.test("generate() gives whole characters as their last byte comes", async () => {
  assert.deepEqual(await textOf(idsOf("a€")), ["a", "", "", "€"]);
  const cut = idsOf("a€").slice(0, 3);
  assert.deepEqual(await textOf(cut), ["a", "", "", "\ufffd"]);
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: "binary", maxLength: 20 }),
      async (text) => {
        assert.equal((await textOf(idsOf(text))).join(""), text.toWellFormed());
      },
    ),
    { numRuns: 30 },
  );
});

Deno.test("generate() drops the virtual space of an empty prompt only", async () => {
  const ids = idsOf(" a b");
  assert.equal((await textOf(ids, "", { prefixSpace: true })).join(""), "a b");
  assert.equal(
    (await textOf(ids, "x", { prefixSpace: true })).join(""),
    " a b",
  );
  assert.equal((await textOf(ids)).join(""), " a b");
});

Deno.test("generate() ends at maxNewTokens and where the context is full", async () => {
  const ids = idsOf("abcdefgh");
  assert.equal((await textOf(ids, "", { maxNewTokens: 3 })).join(""), "abc");
  assert.equal((await textOf(ids, "", { maxNewTokens: 0 })).join(""), "");
  // BOS, x and three of the four are context; the last needs no room.
  const options = { contextLength: 5 };
  assert.equal((await textOf(ids, "x", options)).join(""), "abcd");
  await assert.rejects(textOf(ids, "long!", options), {
    message: "Cannot generate: the prompt has 6 tokens, expected at most 5, " +
      "the model's context",
  });
});

Deno.test("generate() needs something to start from", async () => {
  const tokenizer = byteTokenizer({});
  const model = { tokenizer, generator: scripted([]) };
  await assert.rejects(
    Array.fromAsync(generate("", model)),
    /the prompt is empty and the tokenizer has neither BOS nor EOS/,
  );
});

const all = new Uint8Array(5).fill(1);
const logits = Float32Array.of(1, 3, 3, -Infinity, 0);

Deno.test("sampler() takes the smallest of the most likely ids at temperature 0", () => {
  assert.equal(sampler(all)(logits), 1);
  assert.equal(sampler(Uint8Array.of(1, 0, 0, 1, 1))(logits), 0);
});

Deno.test("sampler() draws as often as the probabilities say", () => {
  const pick = sampler(all, { temperature: 1, seed: 7 });
  const draws = 20_000;
  const counts = new Float64Array(5);
  for (let i = 0; i < draws; i++) counts[pick(logits)]!++;
  const weights = logits.map(Math.exp);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  counts.forEach((count, id) => {
    const p = weights[id]! / total;
    // Five standard deviations of a binomial count.
    const bound = 5 * Math.sqrt(draws * p * (1 - p));
    assert.ok(Math.abs(count - draws * p) <= bound);
  });
});

Deno.test("sampler() draws from the nucleus only, the same for the same seed", () => {
  const options = { temperature: 1, topP: 0.5, seed: 3 };
  const [pick, again] = [sampler(all, options), sampler(all, options)];
  for (let i = 0; i < 100; i++) {
    const id = pick(logits);
    assert.equal(again(logits), id);
    assert.ok(id === 1 || id === 2);
  }
});

Deno.test("sampler() refuses NaN and options out of range", () => {
  const nan = Float32Array.of(1, 2, NaN, 4, 5);
  assert.throws(() => sampler(all)(nan), /the model computes NaN$/);
  assert.throws(() => sampler(all, { temperature: -1 }), RangeError);
  assert.throws(() => sampler(all, { topP: 0 }), RangeError);
});

const golden = new URL("../../../shared/golden/stories260k/", import.meta.url)
  .pathname;
const isThere = await Deno.stat(golden).then(() => true, () => false);

Deno.test({
  name: `generate writes what llama2.c writes${
    isThere ? "" : " (skipped: shared/golden absent)"
  }`,
  ignore: !isThere,
  async fn() {
    const args = ["generate", "--model", golden, "--max-new-tokens", "256"];
    const report = await call(command, [...args, "--prompt", ""]);
    const expected = await Deno.readTextFile(`${golden}greedy.txt`);
    assert.equal(report.text + "\n", expected);
    const [line] = report.lines as { continuation: string; tokens: number }[];
    assert.equal(line!.continuation, report.text);
    assert.equal(line!.tokens, 256);

    const prompt = expected.slice(0, 100);
    const next = await call(command, [...args, "--prompt", prompt]);
    assert.ok(next.text.startsWith(prompt));
  },
});
