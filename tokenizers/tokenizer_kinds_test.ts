import assert from "node:assert/strict";
import { Tokenizer as RustTokenizer } from "@anush008/tokenizers";
import fc from "fast-check";
import { loadTokenizer } from "./tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Loads a tokenizer from the content of its files. */
async function load(
  json: unknown,
  config: unknown = {},
  model: unknown = {},
): Promise<{ tokenizer: Tokenizer; rust: () => RustTokenizer }> {
  const directory = await Deno.makeTempDir();
  const file = `${directory}/tokenizer.json`;
  const text = typeof json === "string" ? json : JSON.stringify(json);
  await Deno.writeTextFile(file, text);
  await Deno.writeTextFile(
    `${directory}/tokenizer_config.json`,
    JSON.stringify(config),
  );
  await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(model));
  try {
    const tokenizer = await loadTokenizer(directory);
    const rust = RustTokenizer.fromString(text);
    return { tokenizer, rust: () => rust };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Text of every token by its byte range in the original. */
function pieces(tokenizer: Tokenizer, text: string): string[] {
  const utf8 = new TextEncoder().encode(text);
  const { ids, byteEnds } = tokenizer.encode(text);
  return Array.from(ids, (id, at) => {
    const own = utf8.subarray(byteEnds[at - 1] ?? 0, byteEnds[at]!);
    return `${tokenizer.tokens[id]}=${new TextDecoder().decode(own)}`;
  });
}

const special = (id: number, content: string) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

const WORD_PIECE = {
  version: "1.0",
  added_tokens: [special(0, "[PAD]"), special(1, "[UNK]"), special(2, "[CLS]")],
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: null,
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(
      "[PAD] [UNK] [CLS] the cafe ##s un ##aff ##able , 日 本 unk [ ]".split(
        " ",
      )
        .map((token, id) => [token, id]),
    ),
  },
};

const BYTES = Array.from(
  { length: 256 },
  (_, byte) =>
    [`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, -20] as const,
);
const UNIGRAM = {
  version: "1.0",
  added_tokens: [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
  normalizer: null,
  pre_tokenizer: {
    type: "Metaspace",
    replacement: "▁",
    prepend_scheme: "always",
    split: true,
  },
  post_processor: null,
  decoder: {
    type: "Metaspace",
    replacement: "▁",
    prepend_scheme: "always",
    split: true,
  },
  model: {
    type: "Unigram",
    unk_id: 0,
    byte_fallback: false,
    vocab: [
      ["<unk>", 0],
      ["<s>", 0],
      ["</s>", 0],
      ["▁", -2],
      ["▁the", -3],
      ["▁th", -4],
      ["e", -3.5],
      ["s", -3.2],
      ["<", -6],
      [">", -6],
      ["/", -6],
      ["▁cat", -4.5],
      ["日", -7],
    ] as [string, number][],
  },
};
const UNIGRAM_BYTES = {
  ...UNIGRAM,
  model: {
    ...UNIGRAM.model,
    byte_fallback: true,
    vocab: [...UNIGRAM.model.vocab, ...BYTES],
  },
};
const UNIGRAM_CONFIG = { eos_token: "</s>", unk_token: "<unk>" };

Deno.test("encode() of WordPiece ends where its words end in the original", async () => {
  const { tokenizer } = await load(WORD_PIECE, { cls_token: "[CLS]" });
  assert.deepEqual(pieces(tokenizer, "The Cafés,  UNAFFABLE\n"), [
    "the=The",
    "cafe= Café",
    "##s=s",
    ",=,",
    "un=  UN",
    "##aff=AFF",
    "##able=ABLE\n",
  ]);
});

Deno.test("encode() of WordPiece gives unknown words their own range", async () => {
  const { tokenizer } = await load(WORD_PIECE);
  assert.deepEqual(pieces(tokenizer, "the Zebra 日本 xyz qqq cafe\u0301 q"), [
    "the=the",
    "[UNK]= Zebra",
    "日= 日",
    "本=本",
    "[UNK]= xyz",
    "[UNK]= qqq",
    "cafe= cafe\u0301",
    "[UNK]= q",
  ]);
});

Deno.test("encode() of WordPiece takes [UNK] in a text for plain text", async () => {
  const { tokenizer } = await load(WORD_PIECE);
  assert.deepEqual(pieces(tokenizer, "[UNK]"), ["[=[", "unk=UNK", "]=]"]);
});

Deno.test("encode() of Unigram gives the Rust library's ids", async () => {
  const { tokenizer, rust } = await load(UNIGRAM, UNIGRAM_CONFIG);
  for (const text of ["the cats", " the  the", "thes 日", "xx yy the", "é"]) {
    const expected = await rust().encode(text, null, {
      addSpecialTokens: false,
    });
    assert.deepEqual([...tokenizer.encode(text).ids], expected.getIds());
  }
});

Deno.test("encode() of Unigram pieces a text in its original bytes", async () => {
  const { tokenizer } = await load(UNIGRAM, UNIGRAM_CONFIG);
  assert.deepEqual(pieces(tokenizer, "the thes  日xx</s>"), [
    "▁the=the",
    "▁the= the",
    "s=s",
    "▁= ",
    "▁= ",
    "日=日",
    "<unk>=xx",
    "<=<",
    "/=/",
    "s=s",
    ">=>",
  ]);
});

Deno.test("encode() of Unigram falls back to bytes", async () => {
  const { tokenizer } = await load(UNIGRAM_BYTES, UNIGRAM_CONFIG);
  assert.deepEqual(
    Array.from(tokenizer.encode("the é").ids, (id) => tokenizer.tokens[id]),
    ["▁the", "▁", "<0xC3>", "<0xA9>"],
  );
  assert.deepEqual([...tokenizer.encode("the é").byteEnds], [3, 4, 5, 6]);
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const plain = text.replaceAll("▁", " ");
    const expected = plain.startsWith(" ") ? plain.slice(1) : plain;
    assert.equal(tokenizer.decode(tokenizer.encode(text).ids), expected);
  }));
});

Deno.test("encode() of Unigram takes long texts and long runs of unknowns", async () => {
  const { tokenizer } = await load(UNIGRAM, UNIGRAM_CONFIG);
  for (const text of ["the s".repeat(50_000), "z".repeat(200_000)]) {
    assert.equal(tokenizer.encode(text).byteEnds.at(-1), text.length);
  }
});

for (const [kind, json] of Object.entries({ WORD_PIECE, UNIGRAM })) {
  Deno.test(`encode() of ${kind} ends monotonely at the text's end`, async () => {
    const { tokenizer } = await load(json, UNIGRAM_CONFIG);
    const text = fc.array(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.constantFrom(
          "the ",
          "cafés",
          "zz ",
          "日",
          "▁",
          "\u0301",
          "\u0000",
          " ",
        ),
      ),
    ).map((parts) => parts.join(""));
    fc.assert(fc.property(text, (text) => {
      const { byteEnds, ids } = tokenizer.encode(text);
      byteEnds.forEach((end, at) => assert.ok(end >= (byteEnds[at - 1] ?? 0)));
      const length = new TextEncoder().encode(text).length;
      assert.equal(byteEnds.at(-1), ids.length > 0 ? length : undefined);
    }));
  });
}

Deno.test("loadTokenizer() knows special tokens by role", async () => {
  const { tokenizer } = await load(UNIGRAM, {
    bos_token: { content: "<s>" },
    eos_token: "</s>",
    pad_token: null,
  });
  assert.deepEqual(tokenizer.special, { bos: 1, eos: 2, unk: 0 });
  const { tokenizer: silent } = await load(UNIGRAM);
  assert.deepEqual(silent.special, { bos: 1, eos: 2, unk: 0 });
});

Deno.test("loadTokenizer() takes the model's ids where no file names a token", async () => {
  const unusual = structuredClone(UNIGRAM);
  for (const [id, content] of [[1, "<|start|>"], [2, "<|stop|>"]] as const) {
    unusual.added_tokens[id]!.content = content;
    unusual.model.vocab[id]![0] = content;
  }
  const model = { bos_token_id: 1, eos_token_id: [2, 5], pad_token_id: 5 };
  const { tokenizer } = await load(unusual, {}, model);
  // Token 5 is an ordinary one: an id of another tokenizer.
  assert.deepEqual(tokenizer.special, { bos: 1, eos: 2, unk: 0 });
  const named = await load(unusual, { eos_token: "<|stop|>" }, model);
  assert.deepEqual(named.tokenizer.special, { eos: 2, unk: 0 });
});

for (
  const [claim, json, error] of [
    ["is not JSON", "{", SyntaxError],
    ["is a list", "[]", TypeError],
    ["has no model", { added_tokens: [] }, TypeError],
    [
      "is of another type",
      { model: { type: "WordLevel", vocab: { a: 0 } } },
      /tokenizer\.json: its model type is WordLevel, expected one of BPE/,
    ],
    [
      "has added tokens that are no list",
      { model: { type: "BPE", vocab: { a: 0 }, merges: [] }, added_tokens: 5 },
      /tokenizer\.json: added_tokens is 5, expected a list/,
    ],
    ["has no merges", { model: { type: "BPE", vocab: { a: 0 } } }, TypeError],
    [
      "has an impossible id",
      { model: { type: "BPE", vocab: { a: 1e12 }, merges: [] } },
      RangeError,
    ],
    [
      "has an unknown normalizer",
      { ...UNIGRAM, normalizer: { type: "Nmt" } },
      /tokenizer\.json: a part of it is not supported/,
    ],
  ] as const
) {
  Deno.test(`loadTokenizer() throws if tokenizer.json ${claim}`, async () => {
    await assert.rejects(load(json), error as RegExp);
  });
}

Deno.test("loadTokenizer() throws if there is no tokenizer.json", async () => {
  await assert.rejects(loadTokenizer("/no/such"), Deno.errors.NotFound);
});
