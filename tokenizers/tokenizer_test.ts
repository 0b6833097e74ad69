import assert from "node:assert/strict";
import { Tokenizer as RustTokenizer } from "@anush008/tokenizers";
import fc from "fast-check";
import { REAL_TOKENIZERS, realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer, startId } from "./tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";

const encoder = new TextEncoder();

/** Any Unicode string, rich in what tokenizers trip over. */
const anyText = fc.array(
  fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: "grapheme" }),
    fc.constantFrom(
      ..."Hello, world|the  quick   brown|\n\n|\t|\r\n| |    |\u0000|\u0007"
        .split("|"),
      "the ",
      "ization",
      "e\u0301",
      "\u0323\u0307",
      "👩‍👩‍👧‍👦",
      "🏳️‍🌈",
      "日本語",
      "각\u1100\u1161\u11a8",
      "▁",
      "▁▁",
      "</s>",
      "<s>",
      "<unk>",
      "<0x0A>",
      "<|endoftext|>",
      "<|im_start|>",
      "<bos>",
      "\n\n\n",
      "        ",
      "\ufeff",
      "\u00a0",
      "\u212b",
      "1234567",
      "\ud800",
      "\udc00",
    ),
  ),
  { maxLength: 12 },
).map((parts) => parts.join(""));

function emitted(tokenizer: Tokenizer, ids: Int32Array): Uint8Array {
  return Uint8Array.from(
    [...ids].flatMap((id) => [...tokenizer.tokenBytes[id]!]),
  );
}

/** What the tokenizer makes of a text: NFC, `▁` as a space, a prefix space. */
function normalized(name: string, text: string): string {
  const wellFormed = text.toWellFormed();
  if (name === "qwen3") return wellFormed.normalize("NFC");
  if (name === "gemma3") return wellFormed.replaceAll("▁", " ");
  if (!name.startsWith("llama") || name === "llama3") return wellFormed;
  return wellFormed && ` ${wellFormed.replaceAll("▁", " ")}`;
}

for (const name of REAL_TOKENIZERS) {
  const directory = await realTokenizer(name);
  const tokenizer = await loadTokenizer(directory);

  Deno.test(`encode() of ${name} emits the bytes of any text`, () => {
    fc.assert(
      fc.property(anyText, (text) => {
        assert.equal(
          new TextDecoder("utf-8", { ignoreBOM: true })
            .decode(emitted(tokenizer, tokenizer.encode(text).ids)),
          normalized(name, text),
        );
      }),
      { numRuns: 300 },
    );
  });

  Deno.test(`encode() of ${name} ends at the text's own bytes`, () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const { ids, byteEnds } = tokenizer.encode(text);
        const utf8 = encoder.encode(text);
        assert.equal(byteEnds.length, ids.length);
        assert.equal(byteEnds.at(-1) ?? 0, utf8.length);
        let start = 0;
        byteEnds.forEach((end, at) => {
          assert.ok(end >= start, "byteEnds are not monotone");
          const own = utf8.subarray(start, end);
          const token = tokenizer.tokenBytes[ids[at]!]!;
          if (!tokenizer.normalizes && !text.includes("▁")) {
            const isPrefix = at === 0 && tokenizer.prefixSpace;
            assert.deepEqual(own, isPrefix ? token.subarray(1) : token);
          }
          start = end;
        });
      }),
      { numRuns: 300 },
    );
  });

  Deno.test(`encode() of ${name} takes special spellings for plain text`, () => {
    for (const id of tokenizer.specialIds) {
      const { ids } = tokenizer.encode(`a ${tokenizer.tokens[id]} b`);
      const special = [...ids].filter((id) => tokenizer.specialIds.has(id));
      assert.deepEqual(special, []);
    }
  });

  Deno.test(`encode() of ${name} gives the Rust library's ids`, async () => {
    const rust = RustTokenizer.fromFile(`${directory}/tokenizer.json`);
    const texts = [
      "The quick brown fox  jumps\n\nover 12345 lazy dogs.\tIt's naïve — déjà vu!",
      " leading and trailing  ",
      "let x: Array<number> = [1, 2]; // コメント 😀👩‍👩‍👧",
      "Straße, Ωμέγα, привет, שלום, नमस्ते, 한국어, 中文字",
      await Deno.readTextFile(new URL("./tokenizer.ts", import.meta.url)),
    ];
    for (const text of texts) {
      const expected = await rust.encode(text, null, {
        addSpecialTokens: false,
      });
      assert.deepEqual([...tokenizer.encode(text).ids], expected.getIds());
    }
  });

  Deno.test(`decode() of ${name} inverts encode()`, () => {
    fc.assert(fc.property(anyText, (text) => {
      const decoded = tokenizer.decode(tokenizer.encode(text).ids);
      const expected = normalized(name, text);
      assert.equal(
        decoded,
        tokenizer.prefixSpace ? expected.slice(1) : expected,
      );
    }));
  });

  Deno.test(`startId() of ${name} is a special token`, () => {
    assert.ok(tokenizer.specialIds.has(startId(tokenizer)!));
  });
}
