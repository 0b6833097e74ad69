import assert from "node:assert/strict";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer, loadVocabulary } from "#/tokenizers/tokenizer.ts";
import {
  vocabularyOf,
  vocabularyTable,
} from "#/tokenizers/vocabulary_table.ts";

Deno.test("vocabularyOf() is what was laid out, of a tokenizer without its encoder, too", async () => {
  for (const name of ["llama2", "gpt2"] as const) {
    const directory = await realTokenizer(name);
    const whole = await loadTokenizer(directory);
    const vocabulary = await loadVocabulary(directory);
    const table = structuredClone(vocabularyTable(vocabulary));
    for (const other of [vocabulary, vocabularyOf(table)]) {
      assert.equal(other.directory, whole.directory);
      assert.equal(other.vocabSize, whole.vocabSize);
      assert.deepEqual(other.tokens, whole.tokens);
      assert.deepEqual(other.tokenBytes, whole.tokenBytes);
      assert.deepEqual(other.special, whole.special);
      assert.deepEqual(other.specialIds, whole.specialIds);
      assert.equal(other.prefixSpace, whole.prefixSpace);
      assert.equal(other.normalizes, whole.normalizes);
      assert.throws(() => other.encode("a"), {
        name: "TypeError",
        message: /^Cannot encode or decode by .*without its encoder/,
      });
    }
  }
});
