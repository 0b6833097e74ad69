import assert from "node:assert/strict";
import fc from "fast-check";
import type { RepresentationRow } from "#/shards/mod.ts";
import { ContinuationReader } from "#/stages/align/continuation_reader.ts";
import { mapVocab } from "#/stages/map_vocab/map_vocab.ts";
import { type Candidates, representation } from "#/tests/representations.ts";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

const special = { bos: 0, eos: 0 };
const bytes = tinyTokenizer(["<|end|>", "a", "b", "c"], { special });
const words = tinyTokenizer(
  ["<|end|>", "a", "b", "c", "ab", "abc", "bc", "ca", "abca"],
  { special },
);
const others = tinyTokenizer(
  ["<|end|>", "a", "b", "c", "bca", "ab", "cab", "cc"],
  { special },
);

/** For what is stored; the tail adds to that, and to nothing else. */
const ROOM = 0;

/** Whatever is stored is rounded to f16, and so may be the least of it. */
const F16 = 2e-3;

function expected(
  target: Tokenizer,
  source: Tokenizer,
  text: string,
  says: (row: number) => Candidates,
  labelLogprob = -20,
) {
  const ours = representation(target, text, () => [[1, -1]], 1);
  const theirs = representation(source, text, says, source.vocabSize);
  theirs.labelLogprobs.fill(labelLogprob, 0, -1);
  const reader = new ContinuationReader({
    target,
    source,
    mapping: [...mapVocab(target, source)],
  });
  const rows = [...reader.read(ours, theirs, ROOM)];
  const at = new Map(
    rows.map(({ t, masses: { ids, masses, length } }) =>
      [
        t,
        new Map(
          Array.from({ length }, (_, k) => [ids[k]!, masses[k]!] as const),
        ),
      ] as const
    ),
  );
  return { ours, theirs, at };
}

/** A little more than everything, so that rounding leaves no tail. */
const MORE = 1.01;

function sayable(random: () => number): Candidates {
  const masses = words.tokens.map(() => random() ** 3 + 1e-3);
  const sum = masses.reduce((total, mass) => total + mass, 0) / MORE;
  return masses.map((mass, id) => [id, Math.log(mass / sum)] as const);
}

Deno.test("ContinuationReader conditions a token on the bytes read of it", () => {
  const says: Candidates = [
    [5, Math.log(0.4)], // abc
    [4, Math.log(0.2)], // ab
    [8, Math.log(0.1)], // abca
    [6, Math.log(0.2)], // bc
    [1, Math.log(0.05)], // a
  ];
  // The text is read as <|end|> abc <|end|>; 5 % are left for 9 tokens.
  const { at } = expected(bytes, words, "abc", () => says);
  const close = (actual: number | undefined, mass: number) =>
    assert.ok(Math.abs(actual! - mass) < F16, `${actual} for ${mass}`);
  const tail = 0.05;
  close(at.get(0)!.get(1), 0.75 + tail * 3 / 9); // ab, abc, abca
  close(at.get(0)!.get(2), 0.2 + tail * 1 / 9); // bc
  const afterA = 0.75 + tail * 4 / 9; // a, ab, abc, abca begin so
  close(at.get(1)!.get(2), (0.7 + tail * 3 / 9) / afterA);
  assert.equal(at.get(1)!.get(3), undefined);
  const afterAb = 0.7 + tail * 3 / 9;
  close(at.get(2)!.get(3), (0.5 + tail * 2 / 9) / afterAb);
});

Deno.test("ContinuationReader does not take the start of a token for a token", () => {
  // The target writes ab|cab as cab follows, the source abca|b.
  const says = (row: number): Candidates =>
    row === 0 ? [[8, Math.log(0.5)], [2, Math.log(0.3)]] : [[2, Math.log(0.9)]];
  const { ours, at } = expected(others, words, "abcab", says);
  assert.deepEqual([...ours.inputIds], [0, 5, 6, 0]);
  // abca goes on as abcab with 0.9; how else, and how that is written, is hidden.
  const tail = 0.2 * 2 / 9; // abc and abca, perhaps
  assert.ok(Math.abs(at.get(0)!.get(5)! - 0.45 - tail) < F16);
  const agreeing = 0.45 + 0.05 + 0.2 * 3 / 9;
  assert.ok(Math.abs(at.get(1)!.get(6)! - 0.45 / agreeing) < F16);
});

const texts = fc.string({
  unit: fc.constantFrom("a", "b", "c"),
  minLength: 1,
  maxLength: 24,
});

Deno.test("ContinuationReader: labels multiply to what begins with them", async () => {
  await fc.assert(
    fc.property(
      texts,
      fc.integer(),
      fc.constantFrom(bytes, others),
      (text, seed, target) => {
        const random = mulberry32(seed);
        const { ours, theirs, at } = expected(
          target,
          words,
          text,
          () => sayable(random),
        );
        const total = ours.inputIds.slice(1)
          .reduce((sum, id, t) => sum + Math.log(at.get(t)!.get(id)!), 0);
        const said = likelihood(theirs);
        // At least the source's own way of writing it, at most a sure thing.
        assert.ok(total >= said - F16 * text.length, `${total} < ${said}`);
        assert.ok(total <= (F16 + MORE - 1) * text.length, `${total}`);
      },
    ),
  );
});

Deno.test("ContinuationReader: bytes get the share of the tokens that begin with them", async () => {
  await fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = mulberry32(seed);
      const said = sayable(random);
      const { at } = expected(bytes, words, "abca", () => said);
      // All in one token: what begins with the bytes read, and one more.
      const share = (prefix: string) =>
        said.reduce(
          (sum, [id, logprob]) =>
            words.tokens[id]!.startsWith(prefix)
              ? sum + Math.exp(logprob)
              : sum,
          0,
        );
      for (let t = 0; t < 4; t++) {
        const read = "abca".slice(0, t);
        for (const [id, letter] of ["", "a", "b", "c"].entries()) {
          if (letter === "") continue;
          const before = t === 0 ? 1 : share(read);
          const actual = at.get(t)!.get(id) ?? 0;
          assert.ok(Math.abs(actual * before - share(read + letter)) < 2 * F16);
        }
      }
    }),
  );
});

Deno.test("ContinuationReader gives up where the two do not meet for long", () => {
  const special = { bos: 0, eos: 0 };
  const odd = tinyTokenizer(["<|end|>", "ab", "ba", "xa", "b"], { special });
  const other = tinyTokenizer(["<|end|>", "x", "ab", "a"], { special });
  const { ours, at } = expected(
    other,
    odd,
    `x${"ab".repeat(300)}`,
    () => [[2, Math.log(0.9)], [3, Math.log(0.05)]],
  );
  assert.ok(ours.inputIds.length > 300);
  const taught = [...at.values()].filter((masses) => masses.size > 0).length;
  assert.ok(taught > 0 && taught < 30, `${taught}`);
  for (const masses of at.values()) {
    for (const mass of masses.values()) assert.ok(mass >= 0 && mass <= 1.01);
  }
});

/** What a source makes of the text that it reads. */
function likelihood(
  { inputIds, topK, topkIds, topkLogprobs }: RepresentationRow,
): number {
  let sum = 0;
  for (let t = 0; t + 1 < inputIds.length; t++) {
    const ids = topkIds.subarray(t * topK, (t + 1) * topK);
    sum += topkLogprobs[t * topK + ids.indexOf(inputIds[t + 1]!)]!;
  }
  return sum;
}
