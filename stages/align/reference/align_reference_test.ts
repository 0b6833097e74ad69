import assert from "node:assert/strict";
import fc from "fast-check";
import type { RepresentationRow } from "#/shards/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  referenceAligner,
  referenceMethods,
  type ReferenceTokenizer,
} from "./align_reference.ts";
import {
  asPublished,
  corrected,
  type ReferenceDefect,
  referenceDefects,
  withDefects,
} from "./reference_defects.ts";

/** A vocabulary of words and letters, whose only special token is the first. */
function tokenizer(tokens: string[]): ReferenceTokenizer {
  const encode = (token: string) =>
    new TextEncoder().encode(token.replaceAll(/[▁Ġ]/g, " "));
  return {
    tokens: ["<s>", ...tokens],
    tokenBytes: [new Uint8Array(0), ...tokens.map(encode)],
    specialIds: new Set([0]),
  };
}

const words = ["the", "then", "cat", "cats", "dog", "sat", "mat", "oh", "s"];
const ends = ["s", "n", "e", "t", "a", "o", "h"];
/** So far from everything that exp(−λC) underflows. */
const far = `Ġ${"x".repeat(41)}`;
const target = tokenizer([...words.map((word) => `▁${word}`), ...ends]);
const source = tokenizer([
  ...words.slice(0, -1),
  ...ends,
  ...words.map((word) => `Ġ${word}`),
  far,
]);

/** Images by spelling, else of the same first letter; not all of them good. */
const mapping = source.tokens.flatMap((token, sourceId) => {
  const spelling = token.replaceAll("Ġ", "▁");
  const same = target.tokens.indexOf(token === far ? "▁oh" : spelling);
  const near = target.tokens.findIndex((each) => each[1] === spelling[0]);
  const targetId = same >= 0 ? same : near;
  return targetId < 0
    ? []
    : [{ sourceId, targetId, distance: same >= 0 ? 0 : 1, weight: 1 }];
});

const TOP_K = 11;

/** Rows that speak of every token, in an order of their own. */
function row(
  { tokens, tokenBytes }: ReferenceTokenizer,
  spellings: string[],
  seed: number,
): RepresentationRow {
  const inputIds = Int32Array.from(["<s>", ...spellings], (spelling) => {
    assert.ok(tokens.includes(spelling), spelling);
    return tokens.indexOf(spelling);
  });
  let offset = 0;
  const byteEnds = inputIds.map((id) => offset += tokenBytes[id]!.length);
  const topkIds = new Int32Array(inputIds.length * TOP_K);
  const topkLogprobs = new Float32Array(inputIds.length * TOP_K);
  for (let t = 0; t < inputIds.length; t++) {
    const order = [...tokens.keys()].slice(1)
      .map((id) => [id, (id * 7919 + t * 104729 + seed) % 1009] as const)
      .sort((a, b) => a[1] - b[1]);
    for (let k = 0; k < TOP_K; k++) {
      topkIds[t * TOP_K + k] = order[k]![0];
      topkLogprobs[t * TOP_K + k] = -1.35 - 0.37 * k - (seed % 7) / 9;
    }
  }
  return {
    id: "a",
    textHash: "",
    inputIds,
    byteEnds,
    topK: TOP_K,
    topkIds,
    topkLogprobs,
    labelLogprobs: new Float32Array(inputIds.length),
    bitsPerByte: 1.5,
  };
}

const ours = row(target, [
  "▁the",
  "▁cat",
  "s",
  "▁sat",
  "▁oh",
  "▁the",
  "n",
  "▁dog",
  "▁mat",
  "▁cats",
  "o",
  "s",
  "▁s",
  "▁the",
], 3);
const theirs = row(source, [
  "Ġthe",
  "Ġcats",
  "Ġsat",
  "Ġoh",
  "Ġthen",
  "Ġdog",
  "Ġmat",
  "Ġcat",
  "s",
  "o",
  "Ġs",
  "Ġthe",
], 11);

const all = Object.keys(referenceDefects) as ReferenceDefect[];

/** What is learned with and without a defect differs. */
function matters(name: ReferenceDefect, among: readonly string[]): boolean {
  const others = among.filter((other) => other !== name);
  return [5, TOP_K].some((logitsNumber) => {
    const [without, with_] = [others, [...others, name]].map((names) => {
      const options = { logitsNumber, defects: withDefects(names) };
      const aligned = referenceAligner(target, source, mapping, options);
      const { topkIds, topkLogprobs, weight } = aligned(ours, theirs);
      return [[...topkIds], [...topkLogprobs], [...weight]];
    });
    return JSON.stringify(without) !== JSON.stringify(with_);
  });
}

Deno.test("every defect changes what is learned", () => {
  // By itself, or where another one does not hide it.
  const idle = all.filter((name) =>
    !matters(name, all) && !matters(name, []) &&
    !all.some((other) => matters(name, all.filter((each) => each !== other)))
  );
  assert.deepEqual(idle, []);
});

Deno.test("a source with the target's tokenizer keeps its distribution without defects, and only then", () => {
  const identity = target.tokens.map((_, id) => (
    { sourceId: id, targetId: id, distance: 0, weight: 1 }
  ));
  fc.assert(fc.property(fc.nat(1000), fc.nat(1000), (seed, other) => {
    const spellings = ["▁the", "▁cat", "s", "▁sat"];
    const says = row(target, spellings, seed);
    const differs = row(target, spellings, other);
    const options = { logitsNumber: TOP_K, defects: corrected };
    const aligned = referenceAligner(target, target, identity, options);
    const { topkIds, topkLogprobs } = aligned(differs, says);
    const rows = (spellings.length) * TOP_K;
    assert.deepEqual(topkIds.subarray(0, rows), says.topkIds.subarray(0, rows));
    assertAllClose(
      topkLogprobs.subarray(0, rows),
      says.topkLogprobs.subarray(0, rows),
      { rtol: 0, atol: 1e-5 }, // f32 logprobs; leaks below e^(1 − 1/ε) b / a.
    );
  }));
  const published = referenceAligner(target, target, identity);
  const [says, differs] = [
    row(target, ["▁the", "s", "n"], 1),
    row(target, ["▁the", "s", "n"], 5),
  ];
  assert.notDeepEqual(published(differs, says).topkIds, says.topkIds);
});

Deno.test("referenceAligner() leaves BOS, the last row and empty texts alone", () => {
  for (const method of Object.keys(referenceMethods)) {
    const options = { method: method as keyof typeof referenceMethods };
    const aligned = referenceAligner(target, source, mapping, options);
    const { weight, topkIds } = aligned(ours, theirs);
    assert.deepEqual([...weight], [0, ...Array(weight.length - 2).fill(1), 0]);
    assert.ok(topkIds.subarray(0, TOP_K).every((id) => id === -1));
    const empty = row(source, [], 1);
    assert.deepEqual([...aligned(row(target, [], 1), empty).weight], [0]);
    assert.ok(aligned(ours, empty).weight.every((each) => each === 0));
  }
});

Deno.test("a row without a pair learns its own token, as published", () => {
  const aligned = referenceAligner(target, source, mapping);
  const { topkIds, topkLogprobs } = aligned(ours, theirs);
  // "s" stands where the source has "cats".
  assert.equal(topkIds[3 * TOP_K], ours.inputIds[3]);
  assert.equal(topkLogprobs[3 * TOP_K], 0);
  const defects = { ...asPublished, "current-token": false };
  const fixed = referenceAligner(target, source, mapping, { defects });
  assert.equal(fixed(ours, theirs).weight[3], 0);
});

Deno.test("withDefects() rejects a defect that is none", () => {
  assert.throws(() => withDefects(["dtw", "dwt"]), {
    name: "RangeError",
    message: /^Cannot switch a defect on: "dwt" is none, expected one of dtw,/,
  });
});
