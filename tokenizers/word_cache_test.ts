import assert from "node:assert/strict";
import fc from "fast-check";
import { WordCache } from "./word_cache.ts";

Deno.test("WordCache gives what was put last, or nothing", () => {
  const words = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 200 });
  fc.assert(fc.property(words, (words) => {
    const cache = new WordCache<number>(8);
    const put = new Map<string, number>();
    words.forEach((word, at) => {
      const found = cache.get(`${word}`);
      if (found !== undefined) assert.equal(found, put.get(`${word}`));
      cache.put(`${word}`, at);
      put.set(`${word}`, at);
      assert.equal(cache.get(`${word}`), at);
    });
  }));
});

Deno.test("WordCache forgets what was not used for long, and keeps what was", () => {
  const cache = new WordCache<number>(8);
  cache.put("old", 1);
  cache.put("used", 2);
  for (let word = 0; word < 12; word++) {
    assert.equal(cache.get("used"), 2);
    cache.put(`${word}`, word);
  }
  assert.equal(cache.get("old"), undefined);
  assert.equal(cache.get("11"), 11);
  cache.clear();
  assert.equal(cache.get("used"), undefined);
});
