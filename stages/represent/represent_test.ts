import assert from "node:assert/strict";
import fc from "fast-check";
import {
  datasets,
  readRows,
  type RepresentationRow,
  type TextRow,
  writeDataset,
} from "#/shards/mod.ts";
import { call } from "#/stages/command.ts";
import { command } from "#/stages/represent/main.ts";
import {
  represent,
  representDefects,
  type RepresentOptions,
} from "#/stages/represent/represent.ts";
import { switchesOf } from "#/stages/reference_switches.ts";
import { parseShard, shardRange } from "#/stages/represent/shard.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { STORIES } from "#/tests/stories.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import {
  BYTE_OFFSET,
  byteLogprobs,
  byteScorer,
  byteTokenizer,
} from "#/tests/byte_model.ts";

function block(text: string, last = true, id = `doc:${text}`): TextRow {
  return { id, document: "doc", block: 0, last, text };
}

function rowsOf(
  blocks: TextRow[],
  options: RepresentOptions = {},
  scorer = byteScorer(),
  tokenizer = byteTokenizer(),
): Promise<RepresentationRow[]> {
  return Array.fromAsync(represent(blocks, { tokenizer, scorer }, options));
}

const ids = (text: string) => [...byteTokenizer().encode(text).ids];

Deno.test("represent() starts with BOS and closes a document's last block with EOS", async () => {
  const [open, closed] = await rowsOf([block("aé", false), block("aé")]);
  assert.deepEqual([...open!.inputIds], [1, ...ids("aé")]);
  assert.deepEqual([...open!.byteEnds], [0, 1, 2, 3]);
  assert.deepEqual([...closed!.inputIds], [1, ...ids("aé"), 2]);
  assert.deepEqual([...closed!.byteEnds], [0, 1, 2, 3, 3]);
  assert.equal(open!.textHash, closed!.textHash);
  assert.equal(open!.textHash.length, 64);
});

Deno.test("represent() starts with EOS where there is no BOS", async () => {
  const tokenizer = byteTokenizer({ eos: 2 });
  const [row] = await rowsOf([block("a")], {}, byteScorer(), tokenizer);
  assert.deepEqual([...row!.inputIds], [2, ...ids("a"), 2]);
});

Deno.test("represent() says that a block is too long, however long it is", async () => {
  await assert.rejects(
    rowsOf([block("a".repeat(200_000), true, "doc#0")]),
    /Cannot represent block doc#0: it has 200002 tokens, expected at most 64/,
  );
});

Deno.test("represent() keeps logprobs over the whole vocabulary", async () => {
  const [row] = await rowsOf([block("ab")], { topK: 3 });
  const [, a, b] = row!.inputIds;
  const logprobs = byteLogprobs(a!, b!);
  const real = [...logprobs.keys()].filter((id) => id < 259);
  const best = real.sort((x, y) => logprobs[y]! - logprobs[x]!).slice(0, 3);
  assert.deepEqual([...row!.topkIds.subarray(6, 9)], best);
  // f32 rounding of an f64 logprob.
  assertAllClose(
    row!.topkLogprobs.subarray(6, 9),
    best.map((id) => logprobs[id]!),
    { rtol: 1e-6, atol: 0 },
  );
  const labels = [
    byteLogprobs(-1, 1)[a!]!,
    byteLogprobs(1, a!)[b!]!,
    logprobs[2]!,
  ];
  assertAllClose(row!.labelLogprobs.subarray(0, 3), labels, {
    rtol: 1e-6,
    atol: 0,
  });
  assert.ok(Number.isNaN(row!.labelLogprobs[3]));
  const bits = -(labels[0]! + labels[1]!) / Math.LN2 / 2;
  assert.ok(Math.abs(row!.bitsPerByte - bits) < 1e-6);
});

Deno.test("represent() gives the same rows in the same order for any batch size", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ maxLength: 20, unit: "grapheme" }), {
        maxLength: 12,
      }),
      fc.integer({ min: 1, max: 60 }),
      async (texts, batchTokens) => {
        const blocks = texts
          .filter((text) => new TextEncoder().encode(text).length < 60)
          .map((text, i) => block(text, i % 2 === 0, String(i)));
        const alone = await rowsOf(blocks, { batchTokens: 1, topK: 2 });
        const rows = await rowsOf(blocks, { batchTokens, topK: 2 });
        assert.deepEqual(rows, alone);
        assert.deepEqual(rows.map(({ id }) => id), blocks.map(({ id }) => id));
      },
    ),
    { numRuns: 20 },
  );
});

Deno.test("represent() fills batches with blocks of like length", async () => {
  const scorer = byteScorer({ vocabSize: 259 });
  const blocks = ["a", "bbbbbbbb", "c", "dddddddd"].map((text) => block(text));
  await rowsOf(blocks, { batchTokens: 20 }, scorer);
  assert.deepEqual(scorer.batches.map(([b, t]) => [b, t]), [[2, 10], [2, 3]]);
});

Deno.test("represent() passes over ids that stand for no token, and keeps their mass out", async () => {
  const width = 1000;
  const scorer = byteScorer({ vocabSize: width });
  const [row] = await rowsOf([block("a")], { topK: 300 }, scorer);
  assert.equal(row!.topkIds.length, 3 * 300);
  const first = row!.topkIds.subarray(0, 300);
  assert.deepEqual([...first.subarray(259)], new Array(41).fill(-1));
  const real = [...first.subarray(0, 259)].sort((x, y) => x - y);
  assert.deepEqual(real, Array.from({ length: 259 }, (_, id) => id));
  assert.ok(row!.topkLogprobs.subarray(259, 300).every((x) => x === -Infinity));
  const expected = byteLogprobs(-1, 1, width).subarray(0, 259)
    .reduce((sum, logprob) => sum + Math.exp(logprob), 0);
  const mass = row!.topkLogprobs.subarray(0, 300)
    .reduce((sum, logprob) => sum + Math.exp(logprob), 0);
  assert.ok(expected < 0.5 && Math.abs(mass - expected) < 1e-6);
});

Deno.test("represent() refuses a block longer than the context, naming it", async () => {
  await assert.rejects(rowsOf([block("x".repeat(63), true, "doc:7")]), {
    name: "RangeError",
    message:
      "Cannot represent block doc:7: it has 65 tokens, expected at most " +
      "64, the model's context (split with a smaller --max-tokens)",
  });
});

Deno.test("represent() refuses a token that the model has no logit for", async () => {
  const scorer = byteScorer({ vocabSize: 100 });
  await assert.rejects(rowsOf([block("ÿ", true, "doc:7")], {}, scorer), {
    message: "Cannot represent block doc:7: its tokenizer gives id 198, " +
      "expected ids below 100, the model's vocab_size",
  });
});

Deno.test("represent() refuses NaN, or marks it with filterNan", async () => {
  const poison = "p".charCodeAt(0) + BYTE_OFFSET;
  const blocks = [block("ok"), block("apb", true, "doc:7")];
  await assert.rejects(rowsOf(blocks, {}, byteScorer({ poison })), {
    message:
      "Cannot represent block doc:7: the model computes NaN at position " +
      "2 (--filter-nan marks such blocks instead)",
  });
  const [good, marked] = await rowsOf(
    blocks,
    { filterNan: true, topK: 2 },
    byteScorer({ poison }),
  );
  assert.ok(Number.isFinite(good!.bitsPerByte));
  assert.ok(Number.isNaN(marked!.bitsPerByte));
  assert.deepEqual([...marked!.topkIds.subarray(4, 6)], [-1, -1]);
  assert.ok(marked!.topkLogprobs.subarray(4, 6).every((x) => x === -Infinity));
  assert.ok(marked!.topkIds.subarray(6).every((id) => id >= 0));
});

Deno.test("represent() gives an empty block no bits", async () => {
  const [row] = await rowsOf([block("")]);
  assert.deepEqual([...row!.inputIds], [1, 2]);
  assert.equal(row!.bitsPerByte, 0);
});

Deno.test("shardRange() cuts rows into parts that make up the whole", () => {
  fc.assert(
    fc.property(fc.nat(50), fc.integer({ min: 1, max: 9 }), (rows, n) => {
      const parts = Array.from(
        { length: n },
        (_, index) => shardRange(rows, { index, count: n }),
      );
      assert.equal(parts[0]!.start, 0);
      assert.equal(parts.at(-1)!.end, rows);
      for (let i = 1; i < n; i++) {
        assert.equal(parts[i]!.start, parts[i - 1]!.end);
      }
    }),
  );
});

Deno.test("parseShard() wants I/N", () => {
  assert.deepEqual(parseShard("2/3"), { index: 2, count: 3 });
  assert.deepEqual(parseShard(undefined), { index: 0, count: 1 });
  for (const text of ["3/3", "1", "a/b", "-1/2", "0/0"]) {
    assert.throws(
      () => parseShard(text),
      /expected I\/N with I from 0 to N − 1/,
    );
  }
});

const golden = new URL("../../../shared/golden/stories260k/", import.meta.url)
  .pathname;
const isThere = await Deno.stat(golden).then(() => true, () => false);

async function writeText(directory: string): Promise<void> {
  const rows = { train: STORIES.slice(1), validation: STORIES.slice(0, 1) };
  await writeDataset(
    {
      out: directory,
      stage: "split",
      options: {},
      inputs: {},
      schema: datasets.text,
      splits: ["train", "validation"],
    },
    ({ split }) =>
      rows[split as "train"].map((text, i) =>
        block(text, true, `${split}:${i}`)
      ),
  );
}

Deno.test({
  name: `represent writes every split, whole or in parts, once${
    isThere ? "" : " (skipped: shared/golden absent)"
  }`,
  ignore: !isThere,
  fn: () =>
    inTemporaryDirectory(async (directory) => {
      await writeText(`${directory}/text`);
      const represent = (name: string, ...flags: string[]) =>
        call(command, [
          ...["represent", "--model", golden, "--text", `${directory}/text`],
          ...["--out", `${directory}/${name}`, "--top-k", "4", ...flags],
        ]).then(({ lines }) => lines[0] as { rows: number; skipped: boolean });
      const rows = (name: string, split: string) =>
        Array.fromAsync(
          readRows(`${directory}/${name}`, datasets.representations, { split }),
        );

      const first = await represent("whole");
      assert.deepEqual([first.rows, first.skipped], [STORIES.length, false]);
      assert.equal((await represent("whole")).skipped, true);
      await assert.rejects(represent("whole", "--filter-nan"), /filterNan/);
      await represent("part0", "--shard", "0/2", "--batch-tokens", "100");
      await represent("part1", "--shard", "1/2");
      for (const split of ["train", "validation"]) {
        const whole = await rows("whole", split);
        const parts = [
          ...await rows("part0", split),
          ...await rows("part1", split),
        ];
        assert.deepEqual(parts.map(({ id }) => id), whole.map(({ id }) => id));
        for (const [i, row] of whole.entries()) {
          assert.deepEqual(parts[i]!.inputIds, row.inputIds);
          // Another batch shape sums in another order.
          assertAllClose(
            [parts[i]!.bitsPerByte],
            [row.bitsPerByte],
            { rtol: 1e-5, atol: 0 },
          );
          assert.ok(row.bitsPerByte > 0.2 && row.bitsPerByte < 4);
        }
      }
    }),
});

Deno.test("represent() frames blocks as published where it is told to", async () => {
  const only = (name: string) => switchesOf(representDefects, [name]);
  const [ended] = await rowsOf([block("a", false)], {
    defects: only("eos-everywhere"),
  });
  assert.deepEqual([...ended!.inputIds], [1, ...ids("a"), 2]);
  const [bare] = await rowsOf([block("ab")], { defects: only("no-bos") });
  assert.deepEqual([...bare!.inputIds], [...ids("ab"), 2]);
  assert.deepEqual([...bare!.byteEnds], [1, 2, 2]);
  // Bits of the one byte that is predicted.
  const bits = -bare!.labelLogprobs[0]! / Math.LN2;
  assert.ok(Math.abs(bare!.bitsPerByte - bits) < 1e-6);
  const [cut] = await rowsOf([block("a".repeat(100))], {
    defects: only("truncation"),
  });
  assert.equal(cut!.inputIds.length, 64);
  assert.equal(cut!.byteEnds.at(-1), 63);
  assert.ok(Number.isNaN(cut!.labelLogprobs[63]));
});
