import assert from "node:assert/strict";
import { TextPieces } from "#/stages/text_pieces.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { tinyText } from "#/tests/tiny_language.ts";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { saveTokenizer, trainTokenizer } from "#/tools/bpe_trainer.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

Deno.test("TextPieces.of() writes bytes as in the middle of a text", () => {
  const tokens = ["▁", "▁the", "the", "t", "he", "a", "▁a"];
  for (const prefixSpace of [false, true]) {
    const pieces = new TextPieces(tinyTokenizer(tokens, { prefixSpace }));
    assert.deepEqual(pieces.of(bytesOf(" the")), [1]);
    assert.deepEqual(pieces.of(bytesOf("the")), [2]);
    assert.deepEqual(pieces.of(bytesOf("hethe")), [4, 2]);
  }
});

Deno.test("TextPieces.of() writes parts of characters by the longest tokens", () => {
  const byteTokens = ["<0xC3>", "<0xA9>", "a", "ab", "é"];
  const pieces = new TextPieces(tinyTokenizer(byteTokens));
  assert.deepEqual(pieces.of(Uint8Array.of(0x61, 0x62, 0xc3)), [3, 0]);
  assert.deepEqual(pieces.of(Uint8Array.of(0xa9)), [1]);
  assert.deepEqual(pieces.of(bytesOf("é")), [4]);
});

Deno.test("TextPieces.of() ends where no token fits", () => {
  const pieces = new TextPieces(tinyTokenizer(["a", "b"]));
  assert.deepEqual(pieces.of(bytesOf("abxa")), [0, 1]);
  assert.deepEqual(pieces.of(new Uint8Array(0)), []);
});

Deno.test("TextPieces.of() joins to the bytes again, for real tokenizers", async () => {
  await inTemporaryDirectory(async (directory) => {
    for (const kind of ["byte-level", "sentencepiece"] as const) {
      const options = { kind, vocabSize: 290 };
      const trained = trainTokenizer([tinyText(0, 60)], options);
      await saveTokenizer(directory, trained);
      const tokenizer = await loadTokenizer(directory);
      const pieces = new TextPieces(tokenizer);
      const { tokenBytes } = tokenizer;
      const texts = [" the whale", "whale", "\n", " ", "é x", "ocean"];
      for (const bytes of [...tokenBytes, ...texts.map(bytesOf)]) {
        const joined = pieces.of(bytes).flatMap((id) => [...tokenBytes[id]!]);
        assert.deepEqual(joined, [...bytes]);
      }
    }
  });
});
