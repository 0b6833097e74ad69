import assert from "node:assert/strict";
import { mappingAsPublished, mapReference } from "./map_reference.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const none = new Uint8Array(0);
const target = {
  vocabSize: 6,
  tokens: ["<s>", "</s>", "▁the", "é", "Context", "\n"],
  tokenBytes: [none, none, ...[" the", "é", "Context", "\n"].map(bytes)],
  special: { bos: 0, eos: 1 },
  specialIds: new Set([0, 1]),
};
const source = {
  vocabSize: 5,
  tokens: ["<|endofcontext|>", "Ġthe", "Ã©", "", "Ċ"],
  tokenBytes: [none, bytes(" the"), bytes("é"), none, bytes("\n")],
  special: { eos: 0 },
  specialIds: new Set([0]),
};

Deno.test("mapReference() compares spellings, as published", () => {
  assert.deepEqual([...mapReference(target, source)], [
    // The name of the end of text resembles a word.
    { sourceId: 0, targetId: 4, distance: 10, weight: 1 },
    { sourceId: 1, targetId: 2, distance: 0, weight: 1 },
    // The bytes of é, spelled as letters, are as far from all short tokens.
    { sourceId: 2, targetId: 3, distance: 2, weight: 1 },
    { sourceId: 3, targetId: 0, distance: Infinity, weight: 0 },
    { sourceId: 4, targetId: 3, distance: 1, weight: 1 },
  ]);
});

Deno.test("mapReference() without raw-strings compares bytes", () => {
  const defects = { ...mappingAsPublished, "raw-strings": false };
  const rows = [...mapReference(target, source, defects)];
  assert.deepEqual(rows.map(({ targetId }) => targetId), [4, 2, 3, 0, 5]);
});

Deno.test("mapReference() without specials-by-spelling goes by role", () => {
  const defects = { ...mappingAsPublished, "specials-by-spelling": false };
  const [end] = mapReference(target, source, defects);
  assert.deepEqual(end, { sourceId: 0, targetId: 1, distance: 0, weight: 1 });
});
