import assert from "node:assert/strict";
import { editDistance } from "#/kernels/mod.ts";
import { byteVocabulary } from "#/stages/byte_vocabulary.ts";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";

Deno.test("byteVocabulary() finds the nearest of a real vocabulary as brute force does", async () => {
  const target = await loadTokenizer(await realTokenizer("llama2"));
  const source = await loadTokenizer(await realTokenizer("gpt2"));
  const { ids, nearest } = byteVocabulary(target);
  // Every 1009th token: of any length, and from any corner of the alphabet.
  for (let id = 0; id < source.vocabSize; id += 1009) {
    const bytes = source.tokenBytes[id]!;
    let best = { targetId: -1, distance: Infinity };
    for (const targetId of ids) {
      const distance = editDistance(bytes, target.tokenBytes[targetId]!);
      if (distance < best.distance) best = { targetId, distance };
    }
    const { index, distance } = nearest.find(bytes);
    assert.deepEqual({ targetId: ids[index]!, distance }, best);
  }
});

Deno.test("byteVocabulary() has a byte token only where nothing else is that byte", async () => {
  const target = await loadTokenizer(await realTokenizer("llama2"));
  const { ids } = byteVocabulary(target);
  const spelled = new Set(Array.from(ids, (id) => target.tokens[id]));
  assert.ok(spelled.has("<0x0A>") && !spelled.has("<0x41>"));
  assert.ok(spelled.has("A"));
});
