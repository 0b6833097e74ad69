import assert from "node:assert/strict";
import fc from "fast-check";
import { call } from "#/stages/command.ts";
import {
  cutWindows,
  logLikelihoods,
} from "#/stages/evaluate/log_likelihood.ts";
import { command } from "#/stages/evaluate/main.ts";
import {
  evaluateChoices,
  type Question,
  readQuestions,
} from "#/stages/evaluate/tasks/choices.ts";
import { evaluateText } from "#/stages/evaluate/tasks/text.ts";
import { STORIES } from "#/tests/stories.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { byteLogprobs, byteScorer, byteTokenizer } from "#/tests/byte_model.ts";

const tokenizer = byteTokenizer();

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) yield item;
}

function document(text: string, file = "a.txt", row = 0) {
  return { file, row, text };
}

/** Nats of a text by hand: the model sees the last two tokens. */
function natsOf(text: string, from = 0): number {
  const ids = [1, ...tokenizer.encode(text).ids];
  let nats = 0;
  for (let i = 1 + from; i < ids.length; i++) {
    nats -= byteLogprobs(i > 1 ? ids[i - 2]! : -1, ids[i - 1]!)[ids[i]!]!;
  }
  return nats;
}

Deno.test("cutWindows() scores every token once, within the context", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 60 }),
    fc.integer({ min: 1, max: 60 }),
    fc.integer({ min: 2, max: 20 }),
    fc.boolean(),
    (length, first, context, hasStart) => {
      const ids = Int32Array.from({ length }, (_, i) => 100 + i);
      const from = Math.min(first, length);
      const labels: number[] = [];
      for (const window of cutWindows({ ids, from, hasStart }, context)) {
        assert.ok(window.ids.length <= context);
        if (hasStart) assert.equal(window.ids[0], 100);
        for (let t = window.rows.start; t < window.rows.end; t++) {
          const label = window.ids[t + 1]!;
          labels.push(label);
          const seen = Math.min(label - 100, Math.floor(context / 2) - 1);
          assert.ok(t + 1 >= seen);
          if (t > 0) assert.equal(window.ids[t], label - 1);
        }
      }
      assert.deepEqual(labels, [...ids.subarray(from)]);
    },
  ));
});

Deno.test("logLikelihoods() does not depend on windows or batches", async () => {
  const text = "one two three four five, ".repeat(9);
  for (const batchTokens of [1, 100, 1000]) {
    for (const contextLength of [8, 17, 64, 1000]) {
      const items = [text, "", text.slice(0, 50)].map((text) => ({
        ids: Int32Array.of(1, ...tokenizer.encode(text).ids),
        from: 1,
        hasStart: true,
        where: "text",
      }));
      const scorer = byteScorer({ contextLength });
      const scores = await Array.fromAsync(
        logLikelihoods(each(items), scorer, { batchTokens }),
      );
      assert.deepEqual(scores.map(({ tokens }) => tokens), [225, 0, 50]);
      // f32 logprobs, summed in f64.
      assert.ok(Math.abs(scores[0]!.nats - natsOf(text)) < 1e-3);
      assert.ok(Math.abs(scores[2]!.nats - natsOf(text.slice(0, 50))) < 1e-3);
    }
  }
});

Deno.test("evaluateText() predicts every byte after BOS, and no EOS", async () => {
  const [result] = await evaluateText(
    each([document("héllo"), document("", "a.txt", 1), document("yes")]),
    { tokenizer, scorer: byteScorer() },
  );
  const nats = natsOf("héllo") + natsOf("yes");
  assert.equal(result!.documents, 3);
  assert.equal(result!.tokens, 9);
  assert.equal(result!.bytes, 9);
  assert.ok(Math.abs(result!.nats - nats) < 1e-5);
  assert.equal(result!.nats_per_token, result!.nats / 9);
  assert.equal(result!.bits_per_byte, result!.nats / Math.LN2 / 9);
  assert.equal(result!.perplexity, Math.exp(result!.nats / 9));
});

Deno.test("evaluateText() takes a document of more tokens than a call takes arguments", async () => {
  const text = "a".repeat(200_000);
  const { vocabSize, contextLength } = byteScorer();
  const scorer = {
    vocabSize,
    contextLength: Math.max(contextLength, 4096),
    topLogprobs: (ids: Int32Array) =>
      Promise.resolve({ labelLogprobs: new Float32Array(ids.length).fill(-1) }),
  } as unknown as ReturnType<typeof byteScorer>;
  const [result] = await evaluateText(each([document(text)]), {
    tokenizer,
    scorer,
  });
  assert.deepEqual([result!.tokens, result!.nats], [200_000, 200_000]);
});

Deno.test("evaluateText() keeps files apart", async () => {
  const results = await evaluateText(
    each([document("a"), document("bb", "b.txt"), document("", "c.txt")]),
    { tokenizer, scorer: byteScorer() },
  );
  assert.deepEqual(
    results.map(({ file, bytes }) => [file, bytes]),
    [["a.txt", 1], ["b.txt", 2], ["c.txt", 0]],
  );
  const { nats, nats_per_token, bits_per_byte, perplexity } = results[2]!;
  assert.deepEqual(
    [nats, nats_per_token, bits_per_byte, perplexity],
    [0, 0, 0, 1],
  );
});

Deno.test("evaluateText() names the document where the model computes NaN", async () => {
  const scorer = byteScorer({ poison: tokenizer.encode("x").ids[0]! });
  await assert.rejects(
    evaluateText(each([document("axb", "a.jsonl", 4)]), { tokenizer, scorer }),
    { message: "Cannot score document 4 of a.jsonl: the model computes NaN" },
  );
});

function question(context: string, choices: string[], label: number): Question {
  return { file: "q.jsonl", line: 1, context, choices, label };
}

Deno.test("evaluateChoices() takes the most likely choice, per byte for acc_norm", async () => {
  const context = "The answer is ";
  const choices = ["yes", "certainly", "no", "true"];
  const nats = choices.map((choice) =>
    natsOf(context + choice, context.length)
  );
  const best = nats.indexOf(Math.min(...nats));
  const perByte = nats.map((value, i) => value / choices[i]!.length);
  const bestNorm = perByte.indexOf(Math.min(...perByte));
  assert.notEqual(best, bestNorm);
  for (const contextLength of [12, 64]) {
    const [result] = await evaluateChoices(
      each(choices.map((_, label) => question(context, choices, label))),
      { tokenizer, scorer: byteScorer({ contextLength }) },
    );
    const expected = {
      file: "q.jsonl",
      questions: 4,
      acc: 0.25,
      acc_norm: 0.25,
    };
    assert.deepEqual(result, expected);
    const [one] = await evaluateChoices(
      each([question(context, choices, best)]),
      { tokenizer, scorer: byteScorer({ contextLength }) },
    );
    assert.deepEqual([one!.acc, one!.acc_norm], [1, 0]);
  }
});

Deno.test("readQuestions() refuses a file without questions", () =>
  inTemporaryDirectory(async (directory) => {
    const file = `${directory}/none.jsonl`;
    await Deno.writeTextFile(file, "\n \n");
    await assert.rejects(Array.fromAsync(readQuestions([file])), {
      message:
        `Cannot read ${file}: it is empty, expected a question on every line`,
    });
  }));

Deno.test("readQuestions() names file and line of what it cannot read", async () => {
  const file = await Deno.makeTempFile({ suffix: ".jsonl" });
  const good = { context: "a", choices: ["b", "c"], label: 1 };
  const bad: [unknown, string][] = [
    ["{", "it is not JSON"],
    ["3", "context is undefined, expected a string"],
    [{ ...good, choices: [] }, "choices is [], expected non-empty strings"],
    [{ ...good, choices: [""] }, 'choices is [""], expected non-empty strings'],
    [{ ...good, label: 2 }, "label is 2, expected 0 to 1"],
    [{ ...good, label: "1" }, 'label is "1", expected 0 to 1'],
  ];
  for (const [line, what] of bad) {
    const text = typeof line === "string" ? line : JSON.stringify(line);
    await Deno.writeTextFile(file, `${JSON.stringify(good)}\n\n${text}\n`);
    await assert.rejects(Array.fromAsync(readQuestions([file])), {
      name: "SyntaxError",
      message: `Cannot read line 3 of ${file}: ${what}`,
    });
  }
  await Deno.remove(file);
});

const golden = new URL("../../../shared/golden/stories260k/", import.meta.url)
  .pathname;
const isThere = await Deno.stat(golden).then(() => true, () => false);

Deno.test({
  name: `evaluate measures a trained model${
    isThere ? "" : " (skipped: shared/golden absent)"
  }`,
  ignore: !isThere,
  fn: () =>
    inTemporaryDirectory(async (directory) => {
      const write = (name: string, text: string) => {
        Deno.writeTextFileSync(`${directory}/${name}`, text);
        return `${directory}/${name}`;
      };
      const lines = STORIES.map((text) => JSON.stringify({ text })).join("\n");
      const questions = [
        { context: "Once upon a", choices: [" time", " sky"], label: 0 },
        { context: "The girl was very", choices: [" run", " happy"], label: 1 },
      ];
      const args = ["evaluate", "--model", golden, "--batch-tokens", "600"];
      const { lines: results, text } = await call(command, [
        ...args,
        "--text",
        write("empty.txt", ""),
        write("none.jsonl", ""),
        write("stories.jsonl", lines),
        write("long.txt", STORIES.join("\n").repeat(4)),
        "--choices",
        write("q.jsonl", questions.map((q) => JSON.stringify(q)).join("\n")),
      ]) as { lines: Record<string, number>[]; text: string };

      assert.deepEqual(
        results.map(({ file }) => `${file}`.split("/").at(-1)),
        ["empty.txt", "none.jsonl", "stories.jsonl", "long.txt", "q.jsonl"],
      );
      assert.deepEqual(results.map(({ documents }) => documents).slice(0, 4), [
        1,
        0,
        STORIES.length,
        1,
      ]);
      const [, , stories, long, answers] = results;
      const bytes = new TextEncoder().encode(STORIES.join("")).length;
      assert.equal(stories!.bytes, bytes);
      // The model's published validation loss is 1.2968 nats per token.
      assert.ok(stories!.nats_per_token! > 0.6 && stories!.nats_per_token! < 2);
      assert.ok(long!.tokens! > 512 && long!.nats_per_token! < 2);
      assert.deepEqual([answers!.acc, answers!.acc_norm], [1, 1]);
      assert.equal(text.split("\n").length, 5);
    }),
});
