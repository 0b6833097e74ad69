import assert from "node:assert/strict";
import { Tokenizer as Encoder } from "@huggingface/tokenizers";
import fc from "fast-check";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { forPlainText } from "./plain_text.ts";
import { readTokenizerFiles } from "./tokenizer_json.ts";
import type { TokenizerJson } from "./tokenizer_json.ts";

const NONE = new Set<number>();

/** The same encoder without the cuts. */
function withoutCuts(json: TokenizerJson): Encoder {
  const plain = forPlainText(json, NONE);
  return new Encoder({ ...plain, pre_tokenizer: json.pre_tokenizer }, {});
}

for (const name of ["llama2", "llama", "gemma3"] as const) {
  const { json } = await readTokenizerFiles(await realTokenizer(name));

  Deno.test(`safeCuts() of ${name} leaves every encoding as it is`, () => {
    const cut = new Encoder(forPlainText(json, NONE), {});
    const whole = withoutCuts(json);
    const text = fc.array(
      fc.constantFrom(
        ..." |  |the|s|>|</|▁|\n|\t|é|日本| th|e |ing |.|... |0x|\u0301|1 2"
          .split("|"),
      ),
      { maxLength: 60 },
    ).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, (text) => {
        assert.deepEqual(cut.encode(text).ids, whole.encode(text).ids);
      }),
      { numRuns: 100 },
    );
  });
}
