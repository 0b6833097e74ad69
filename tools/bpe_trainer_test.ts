import assert from "node:assert/strict";
import { Tokenizer } from "@huggingface/tokenizers";
import { Tokenizer as RustTokenizer } from "@anush008/tokenizers";
import fc from "fast-check";
import { learnMerges } from "./bpe_merges.ts";
import { saveTokenizer, trainTokenizer } from "./bpe_trainer.ts";
import type { TrainerOptions } from "./bpe_trainer.ts";

const KINDS: TrainerOptions[] = [
  { kind: "byte-level", vocabSize: 400 },
  { kind: "byte-level", vocabSize: 400, words: "llama3" },
  { kind: "sentencepiece", vocabSize: 400 },
];
const TEXTS = [
  "It was the best of times, it was the worst of times,\nit was the age of",
  "wisdom, it was the age of foolishness: 1775, 1776 — naïve  spaces   and so",
  "on. The times of the age of the best of the worst was it; it was, it was.",
];

/** BPE as one reads it in the paper: count all pairs again at every merge. */
function learnMergesSlowly(
  words: readonly number[][],
  counts: readonly number[],
  symbols: number,
  merges: number,
): [number, number][] {
  const found: [number, number][] = [];
  const current = words.map((word) => [...word]);
  while (found.length < merges) {
    const pairs = new Map<string, number>();
    current.forEach((word, index) =>
      word.slice(1).forEach((right, at) => {
        const key = `${word[at]} ${right}`;
        pairs.set(key, (pairs.get(key) ?? 0) + counts[index]!);
      })
    );
    const best = [...pairs]
      .map(([key, count]) => ({ pair: key.split(" ").map(Number), count }))
      .filter(({ count }) => count > 1)
      .sort((a, b) =>
        b.count - a.count || a.pair[0]! - b.pair[0]! || a.pair[1]! - b.pair[1]!
      )[0];
    if (!best) break;
    const [left, right] = best.pair as [number, number];
    for (const word of current) {
      for (let at = 0; at + 1 < word.length; at++) {
        if (word[at] === left && word[at + 1] === right) {
          word.splice(at, 2, symbols + found.length);
        }
      }
    }
    found.push([left, right]);
  }
  return found;
}

Deno.test("learnMerges() matches counting all pairs again at every merge", () => {
  const word = fc.array(fc.nat(3), { minLength: 1, maxLength: 9 });
  const problem = fc.array(fc.tuple(word, fc.integer({ min: 1, max: 5 })), {
    minLength: 1,
    maxLength: 12,
  });
  fc.assert(fc.property(problem, (entries) => {
    const words = entries.map(([word]) => word);
    const counts = entries.map(([, count]) => count);
    assert.deepEqual(
      learnMerges({
        words: words.map((word) => Uint32Array.from(word)),
        counts,
        symbols: 4,
        merges: 8,
      }),
      learnMergesSlowly(words, counts, 4, 8),
    );
  }));
});

for (const options of KINDS) {
  const name = `${options.kind} ${options.words ?? ""}`.trim();

  Deno.test(`trainTokenizer() gives the same ${name} tokenizer twice`, () => {
    assert.deepEqual(
      trainTokenizer(TEXTS, options),
      trainTokenizer(TEXTS, options),
    );
  });

  Deno.test(`trainTokenizer() makes a ${name} tokenizer that both libraries read alike`, async () => {
    const trained = trainTokenizer(TEXTS, options);
    const directory = await Deno.makeTempDir();
    await saveTokenizer(directory, trained);
    const rust = RustTokenizer.fromFile(`${directory}/tokenizer.json`);
    const ours = new Tokenizer(trained.tokenizer, trained.config);
    for (
      const text of [...TEXTS, "a\tb\n\n日本 🙂", "the  times", " x", "2026"]
    ) {
      const { ids } = ours.encode(text, { add_special_tokens: false });
      const expected = await rust.encode(text, null, {
        addSpecialTokens: false,
      });
      assert.deepEqual(ids, expected.getIds());
      assert.equal(ours.decode(ids), text);
    }
    await Deno.remove(directory, { recursive: true });
  });

  Deno.test(`trainTokenizer() numbers a ${name} vocabulary without holes`, () => {
    const { model } = trainTokenizer(TEXTS, options).tokenizer;
    const ids = Object.values(model.vocab).sort((a, b) => a - b);
    assert.deepEqual(ids, ids.map((_, index) => index));
    assert.ok(ids.length <= options.vocabSize);
    assert.ok(model.merges.length > 0);
  });
}

Deno.test("trainTokenizer() throws if the bytes alone do not fit", () => {
  assert.throws(
    () => trainTokenizer(TEXTS, { kind: "byte-level", vocabSize: 100 }),
    RangeError,
  );
});
