import assert from "node:assert/strict";
import fc from "fast-check";
import { NearestStrings } from "#/kernels/edit_distance/nearest_strings.ts";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { mappingAsPublished } from "./map_reference.ts";
import { ReferenceStatistics } from "./reference_statistics.ts";

const letters = ["a", "b", "c", "▁"];
const words = fc.uniqueArray(
  fc.string({ unit: fc.constantFrom(...letters), minLength: 2, maxLength: 4 }),
  { minLength: 2, maxLength: 12 },
);
const texts = fc.array(
  fc.string({ unit: fc.constantFrom("a", "b", "c", " "), maxLength: 40 }),
  { minLength: 1, maxLength: 4 },
);
const tokenizer = (some: readonly string[]) =>
  tinyTokenizer(["<unk>", "<s>", ...letters, ...some], {
    special: { unk: 0, bos: 1, eos: 1 },
  });

/** The published cost, of spellings with their markers. */
function cost(source: string, target: string): number {
  const [a, b] = [source, target].map((token) => token.replaceAll("▁", ""));
  const edits = new NearestStrings([b!]).distances(a!)[0]!;
  return edits * (a!.includes(b!) || b!.includes(a!) ? 0.1 : 1);
}

/** Which positions of the first series each of the second meets: a whole matrix. */
function warp(first: string[], second: string[]): number[][] {
  const sums = Array.from(
    { length: first.length + 1 },
    () => Array<number>(second.length + 1).fill(Infinity),
  );
  sums[0]![0] = 0;
  first.forEach((a, i) =>
    second.forEach((b, j) => {
      const before = [sums[i]![j + 1]!, sums[i + 1]![j]!, sums[i]![j]!];
      sums[i + 1]![j + 1] = cost(a, b) + Math.min(...before);
    })
  );
  const at = (i: number, j: number) =>
    i < 0 || j < 0 ? Infinity : sums[i + 1]![j + 1]!;
  const met: number[][] = second.map(() => []);
  let [i, j] = [first.length - 1, second.length - 1];
  while (i > 0 || j > 0) {
    met[j]!.push(i);
    const options = [at(i - 1, j - 1), at(i - 1, j), at(i, j - 1)];
    const move = options.indexOf(Math.min(...options));
    if (move !== 2) i--;
    if (move !== 1) j--;
  }
  met[0]!.push(0);
  return met;
}

/** The published steps: a dense matrix of who meets whom, then one argmin a row. */
function published(
  target: Tokenizer,
  source: Tokenizer,
  corpus: readonly string[],
): number[] {
  const matrix = source.tokens.map(() => new Float64Array(target.vocabSize));
  const spell = (tokenizer: Tokenizer, ids: Int32Array) =>
    [...ids].map((id) => tokenizer.tokens[id]!);
  for (const text of corpus) {
    const [ours, theirs] = [target.encode(text).ids, source.encode(text).ids];
    if (ours.length === 0) continue;
    warp(spell(source, theirs), spell(target, ours)).forEach((met, t) => {
      const ids = new Set(met.map((s) => theirs[s]!));
      for (const id of ids) matrix[id]![ours[t]!]!++;
    });
  }
  return source.tokens.map((token, id) => {
    const same = target.tokens.indexOf(token);
    if (same >= 0) return same;
    const met = [...matrix[id]!.keys()].filter((t) => matrix[id]![t]! > 0);
    if (met.length === 0) return 0;
    const weighted = met.map((t) =>
      cost(token, target.tokens[t]!) / (1 + Math.exp(-matrix[id]![t]!))
    );
    return met[weighted.indexOf(Math.min(...weighted))]!;
  });
}

function map(
  target: Tokenizer,
  source: Tokenizer,
  corpus: readonly string[],
  defects = mappingAsPublished,
): { targetId: number; weight: number }[] {
  const mapper = new ReferenceStatistics(target, source, { defects });
  for (const text of corpus) mapper.read(text);
  return [...mapper];
}

Deno.test("ReferenceStatistics gives what the published steps give", () => {
  const changed = { "rare-first": 0, "unseen-to-unknown": 0 };
  fc.assert(
    fc.property(words, words, texts, (mine, theirs, corpus) => {
      const [target, source] = [tokenizer(mine), tokenizer(theirs)];
      const actual = map(target, source, corpus);
      assert.deepEqual(
        actual.map(({ targetId }) => targetId),
        published(target, source, corpus),
      );
      assert.ok(actual.every(({ weight }) => weight === 1));
      for (const name of ["rare-first", "unseen-to-unknown"] as const) {
        const defects = { ...mappingAsPublished, [name]: false };
        const others = map(target, source, corpus, defects);
        const differs = others.some(({ targetId, weight }, k) =>
          targetId !== actual[k]!.targetId || weight !== actual[k]!.weight
        );
        if (differs) changed[name]++;
      }
    }),
    { numRuns: 100, seed: 3 },
  );
  assert.ok(
    Object.values(changed).every((n) => n > 3),
    JSON.stringify(changed),
  );
});
