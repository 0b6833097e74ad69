import assert from "node:assert/strict";
import fc from "fast-check";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { findBestMapping } from "./find_best_mapping.ts";
import { mappingAsPublished } from "./map_reference.ts";
import { ReferenceCoOccurrence } from "./reference_co_occurrence.ts";

const letters = ["a", "b", "c", "d"];
const words = fc.uniqueArray(
  fc.string({ unit: fc.constantFrom(...letters), minLength: 2, maxLength: 4 }),
  { minLength: 2, maxLength: 14 },
);
const texts = fc.array(
  fc.string({ unit: fc.constantFrom(...letters), maxLength: 60 }),
  { minLength: 1, maxLength: 4 },
);

function map(
  target: Tokenizer,
  source: Tokenizer,
  corpus: readonly string[],
  options = {},
): number[] {
  const mapper = new ReferenceCoOccurrence(target, source, options);
  for (const text of corpus) mapper.read(text);
  return [...mapper].map(({ targetId }) => targetId);
}

/**
 * The published steps, one after the other: dense matrices over whole
 * vocabularies, clipped to the columns of common tokens, names for ids.
 */
function published(
  target: Tokenizer,
  source: Tokenizer,
  corpus: readonly string[],
  window: number,
  { "window-edge": isEdgeHalf, "last-image": isLast } = mappingAsPublished,
): number[] {
  const find = findBestMapping({ tokens: target.tokens, marker: "▁" });
  const best = source.tokens.map((token) => find(token, "▁").ids);
  const matrixOf = ({ vocabSize, encode }: Tokenizer) => {
    const matrix = Array.from(
      { length: vocabSize },
      () => new Int32Array(vocabSize),
    );
    for (const text of corpus) {
      const { ids } = encode(text);
      for (let i = 0; i < ids.length; i++) {
        const end = Math.min(i + window + (isEdgeHalf ? 0 : 1), ids.length);
        for (let j = Math.max(0, i - window); j < end; j++) {
          if (i === j) continue;
          matrix[ids[i]!]![ids[j]!]!++;
          matrix[ids[j]!]![ids[i]!]!++;
        }
      }
    }
    return matrix;
  };
  const inverse = new Map<number, number[]>();
  best.forEach(([id], sourceId) => {
    const others = isLast ? [] : inverse.get(id!) ?? [];
    inverse.set(id!, [...others, sourceId]);
  });
  const common = [...inverse.keys()];
  const [ours, theirs] = [matrixOf(target), matrixOf(source)];
  const size = (vector: number[]) => Math.hypot(...vector);
  return best.map((ids, sourceId) => {
    const mine = common.map((c) =>
      inverse.get(c)!.reduce((sum, id) => sum + theirs[sourceId]![id]!, 0)
    );
    const similarities = ids.map((id) => {
      const other = common.map((c) => ours[id]![c]!);
      const dot = mine.reduce((sum, count, k) => sum + count * other[k]!, 0);
      return dot / (size(mine) * size(other) + 1e-6);
    });
    return ids[similarities.indexOf(Math.max(...similarities))]!;
  });
}

Deno.test("ReferenceCoOccurrence gives what the published steps give, switch by switch", () => {
  const changed = { corpus: 0, "window-edge": 0, "last-image": 0 };
  const differs = (some: number[], others: number[]) =>
    some.some((id, k) => id !== others[k]) ? 1 : 0;
  fc.assert(
    fc.property(
      words,
      words,
      texts,
      fc.constantFrom(1, 2, 5),
      (mine, theirs, corpus, window) => {
        const target = tinyTokenizer([...letters, ...mine]);
        const source = tinyTokenizer([...letters, ...theirs]);
        const actual = map(target, source, corpus, { window });
        assert.deepEqual(actual, published(target, source, corpus, window));
        changed.corpus += differs(actual, map(target, source, [], { window }));
        for (const name of ["window-edge", "last-image"] as const) {
          const defects = { ...mappingAsPublished, [name]: false };
          const without = map(target, source, corpus, { window, defects });
          assert.deepEqual(
            without,
            published(target, source, corpus, window, defects),
          );
          changed[name] += differs(actual, without);
        }
      },
    ),
    { numRuns: 150, seed: 7 },
  );
  assert.ok(
    Object.values(changed).every((n) => n > 3),
    JSON.stringify(changed),
  );
});
