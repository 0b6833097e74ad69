import assert from "node:assert/strict";
import fc from "fast-check";
import type { AlignedRow, RepresentationRow } from "#/shards/mod.ts";
import { align } from "#/stages/align/align.ts";
import { mapVocab } from "#/stages/map_vocab/map_vocab.ts";
import { representation } from "#/tests/representations.ts";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";

const fine = tinyTokenizer(["<s>", "</s>", "a", "b", "▁", "ab"], {
  special: { bos: 0, eos: 1 },
  prefixSpace: true,
});
const coarse = tinyTokenizer(["<|end|>", "a", "b", "▁", "ba", "▁ab", "bab"], {
  special: { bos: 0, eos: 0 },
});

/** A text by a model that gives its labels any likelihoods. */
function row(
  tokenizer: Tokenizer,
  text: string,
  random: () => number,
): RepresentationRow {
  const said = representation(tokenizer, text, () => [[2, -1]], 1);
  const labelLogprobs = said.labelLogprobs.map((logprob) =>
    Number.isNaN(logprob) ? NaN : -8 * random() ** 3
  );
  return { ...said, labelLogprobs };
}

async function alignRow(
  target: RepresentationRow,
  source: RepresentationRow,
  [ours, theirs]: readonly [Tokenizer, Tokenizer],
): Promise<AlignedRow> {
  const rows = align({
    targetRows: [target],
    sourceRows: [source],
    target: ours,
    source: theirs,
    mapping: mapVocab(ours, theirs),
  }, { method: "likelihood" });
  const [aligned] = await Array.fromAsync(rows);
  return aligned!;
}

const texts = fc.string({ unit: fc.constantFrom("a", "b", " ") });

Deno.test("likelihood: a chunk's labels multiply to what the source makes of it", async () => {
  const tokenizers = [[fine, coarse], [coarse, fine]] as const;
  await fc.assert(
    fc.asyncProperty(
      texts,
      fc.integer(),
      fc.constantFrom(...tokenizers),
      async (text, seed, both) => {
        const random = mulberry32(seed);
        const target = row(both[0], text, random);
        const source = row(both[1], text, random);
        const aligned = await alignRow(target, source, both);
        const sums: number[] = [];
        const expected: number[] = [];
        const length = aligned.weight.length - 1;
        for (let t = 0; t < length; t++) {
          const chunk = aligned.labelLogprobs[t]!;
          if (!Number.isNaN(chunk)) expected.push(chunk) && sums.push(0);
          if (aligned.weight[t] === 0) continue;
          assert.equal(aligned.topkIds[t], target.inputIds[t + 1]);
          sums[sums.length - 1]! += aligned.topkLogprobs[t]!;
        }
        // f32 logprobs, up to a text of them.
        assertAllClose(sums, expected, { rtol: 1e-5, atol: 1e-5 });
        // Only rows before the first pair stand outside of chunks.
        const first = aligned.weight.indexOf(1);
        assert.ok(aligned.weight.subarray(first, length).every((w) => w === 1));
      },
    ),
  );
});

Deno.test("likelihood: of the same tokenizer every label's probability comes out", async () => {
  const random = mulberry32(1);
  const target = row(fine, "abba ab", random);
  const source = row(fine, "abba ab", random);
  const aligned = await alignRow(target, source, [fine, fine]);
  assertAllClose(
    aligned.topkLogprobs.subarray(1, -1),
    source.labelLogprobs.subarray(1, -1),
    {
      rtol: 1e-6,
      atol: 0,
    },
  );
});

Deno.test("likelihood: a source as sure of every chunk as the target asks for no change", async () => {
  const random = mulberry32(2);
  const target = row(fine, "bab ab", random);
  const source = representation(coarse, "bab ab", () => [], 1);
  // ▁ b ab ▁ ab </s> against bab ▁ab <|end|>, with the virtual space before.
  const own = [...target.labelLogprobs];
  source.labelLogprobs.set([own[1]! + own[2]!, own[3]! + own[4]!, own[5]!]);
  const aligned = await alignRow(target, source, [fine, coarse]);
  assert.deepEqual([...aligned.weight], [0, 1, 1, 1, 1, 1, 0]);
  assertAllClose(aligned.topkLogprobs.subarray(1, 6), own.slice(1, 6), {
    rtol: 1e-6,
    atol: 0,
  });
});

Deno.test("likelihood: labels that the target is sure of share evenly", async () => {
  const target = representation(fine, "bab", () => [], 1);
  target.labelLogprobs.fill(0, 0, -1);
  const source = representation(coarse, "bab", () => [], 1);
  source.labelLogprobs.set([-6, -1]);
  const aligned = await alignRow(target, source, [fine, coarse]);
  assert.deepEqual([...aligned.topkLogprobs.subarray(1, 4)], [-3, -3, -1]);
});

Deno.test("likelihood: a chunk that is no number teaches nothing", async () => {
  const target = representation(fine, "bab ab", () => [], 1);
  const source = representation(coarse, "bab ab", () => [], 1);
  source.labelLogprobs[0] = NaN;
  const { weight } = await alignRow(target, source, [fine, coarse]);
  assert.deepEqual([...weight], [0, 0, 0, 1, 1, 1, 0]);
});

Deno.test("likelihood: an EOS that one side does not have is no part of a chunk", async () => {
  const without = (row: RepresentationRow): RepresentationRow => {
    const length = row.inputIds.length - 1;
    const labelLogprobs = row.labelLogprobs.slice(0, length);
    labelLogprobs[length - 1] = NaN;
    return {
      ...row,
      inputIds: row.inputIds.slice(0, length),
      byteEnds: row.byteEnds.slice(0, length),
      topkIds: row.topkIds.slice(0, length),
      topkLogprobs: row.topkLogprobs.slice(0, length),
      labelLogprobs,
    };
  };
  const target = representation(coarse, "bab", () => [], 1);
  const source = representation(fine, "bab", () => [], 1);
  // bab <|end|> against ▁ b ab </s>: labels have the logprobs 0, −1, −2, …
  const targets = await alignRow(target, without(source), [coarse, fine]);
  assert.deepEqual([...targets.weight], [1, 0, 0]);
  assert.deepEqual([...targets.labelLogprobs], [-1 - 2, NaN, NaN]);
  const sources = await alignRow(without(target), source, [coarse, fine]);
  assert.deepEqual([...sources.weight], [1, 0]);
  assert.deepEqual([...sources.labelLogprobs], [-1 - 2, NaN]);
});
