import assert from "node:assert/strict";
import fc from "fast-check";
import { editDistance } from "#/kernels/mod.ts";
import { mapVocab, VocabMapper } from "#/stages/map_vocab/map_vocab.ts";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";

const specials = ["<s>", "</s>", "<unk>"];
const roles = { special: { bos: 0, eos: 1, unk: 2 } };

Deno.test("mapVocab() maps a tokenizer to itself by the identity", () => {
  const words = fc.string({
    unit: fc.constantFrom("a", "b", "▁"),
    minLength: 1,
  });
  fc.assert(fc.property(fc.uniqueArray(words, { minLength: 1 }), (some) => {
    const tokens = [...specials, "<0x61>", "", "<|mark|>", ...some];
    const same = tinyTokenizer(tokens, { ...roles, specialIds: [5] });
    const rows = [...mapVocab(same, same)];
    const expected = tokens.map((token, id) =>
      token === ""
        ? { sourceId: id, targetId: 2, distance: Infinity, weight: 0 }
        : { sourceId: id, targetId: id, distance: 0, weight: 1 }
    );
    assert.deepEqual(rows, expected);
  }));
});

Deno.test("mapVocab() takes the nearest bytes, the smallest id of several", () => {
  const words = fc.string({
    unit: fc.constantFrom("a", "b", "c", "▁"),
    minLength: 1,
  });
  const vocabulary = fc.uniqueArray(words, { minLength: 1, maxLength: 30 });
  fc.assert(fc.property(vocabulary, vocabulary, (mine, theirs) => {
    const target = tinyTokenizer(mine);
    const source = tinyTokenizer(theirs);
    for (const { sourceId, targetId, distance } of mapVocab(target, source)) {
      const distances = target.tokenBytes.map((bytes) =>
        editDistance(bytes, source.tokenBytes[sourceId]!)
      );
      const least = Math.min(...distances);
      assert.equal(distance, least);
      assert.equal(targetId, distances.indexOf(least));
    }
  }));
});

Deno.test("mapVocab() maps special tokens by role, whatever they are called", () => {
  const target = tinyTokenizer([...specials, "▁text"], roles);
  const source = tinyTokenizer(["▁text", "<|endoftext|>", "<|pad|>"], {
    special: { bos: 1, eos: 1, pad: 2 },
  });
  assert.deepEqual([...mapVocab(target, source)], [
    { sourceId: 0, targetId: 3, distance: 0, weight: 1 },
    { sourceId: 1, targetId: 1, distance: 0, weight: 1 },
    // No counterpart: no mass, and the unknown token for a name.
    { sourceId: 2, targetId: 2, distance: Infinity, weight: 0 },
  ]);
  const back = [...mapVocab(source, target)];
  assert.deepEqual(back.map(({ targetId }) => targetId), [1, 1, 1, 0]);
  assert.deepEqual(back.map(({ weight }) => weight), [1, 1, 0, 1]);
});

Deno.test("mapVocab() never maps text to a byte token that the target does not write", () => {
  const target = tinyTokenizer(["<0x20>", "<0x41>", "<0x0A>", "▁", "A"]);
  const source = tinyTokenizer(["A", "▁", "A!", "\n", "<0x41>"]);
  const images = [...mapVocab(target, source)];
  assert.deepEqual(images.map(({ targetId }) => targetId), [4, 3, 4, 2, 1]);
  assert.deepEqual(images.map(({ distance }) => distance), [0, 0, 1, 0, 0]);
});

Deno.test("mapVocab() compares bytes, not spellings", () => {
  const target = tinyTokenizer(["é", "<0x0A>", "Ċ"]);
  const source = {
    ...tinyTokenizer(["Ã©", "Ċ"]),
    tokenBytes: [Uint8Array.of(0xc3, 0xa9), Uint8Array.of(0x0a)],
  };
  const images = [...mapVocab(target, source)];
  assert.deepEqual(images.map(({ targetId }) => targetId), [0, 1]);
  assert.deepEqual(images.map(({ distance }) => distance), [0, 0]);
});

Deno.test("mapVocab() throws if the target stands for no bytes", () => {
  const source = tinyTokenizer(["a"]);
  const target = tinyTokenizer(["<s>"], { special: { bos: 0 } });
  assert.throws(() => [...mapVocab(target, source)], RangeError);
});

Deno.test("VocabMapper.rowsBy() gives the same rows in the same order by workers", async () => {
  const numbers = (count: number, step: number) =>
    Array.from({ length: count }, (_, at) => (at * step).toString(7));
  const target = tinyTokenizer([...specials, ...numbers(900, 31)], roles);
  // Enough for several parts; holes and special tokens among and behind them.
  const mine = ["<s>", "</s>", ...numbers(1700, 17), "", "<|mark|>"];
  const source = tinyTokenizer(mine, {
    special: { bos: 0, eos: 1 },
    specialIds: [mine.length - 1],
  });
  const mapper = new VocabMapper(target, source);
  const expected = [...mapper.rows()];
  assert.equal(expected.length, mine.length);
  for (const workers of [1, 2]) {
    const rows = await Array.fromAsync(mapper.rowsBy(workers));
    assert.deepEqual(rows, expected);
  }
});
