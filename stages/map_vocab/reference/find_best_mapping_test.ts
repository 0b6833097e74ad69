import assert from "node:assert/strict";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { findBestMapping } from "./find_best_mapping.ts";

const target = { tokens: ["▁the", "", "then", "▁th", "ĉ", "the"], marker: "▁" };

Deno.test("findBestMapping() takes the same spelling, marker replaced", () => {
  assert.deepEqual(findBestMapping(target)("Ġthe", "Ġ"), {
    spelling: "▁the",
    ids: [0],
    distance: 0,
  });
});

Deno.test("findBestMapping() lists all at the least distance, smallest id first", () => {
  assert.deepEqual(findBestMapping(target)("Ġthen", "Ġ"), {
    spelling: "▁then",
    ids: [0, 2],
    distance: 1,
  });
});

Deno.test("findBestMapping() rejects an empty target", () => {
  assert.throws(() => findBestMapping({ tokens: [""], marker: "▁" }), {
    name: "RangeError",
    message:
      "Cannot map to a vocabulary: it has no token, expected at least one",
  });
});

interface Case {
  token: string;
  mapped_key: string;
  best: string;
  all_best: string[] | null;
  distance: number;
}

const golden = new URL(
  "../../../../shared/golden/reference/vocab_mapping.json",
  import.meta.url,
);
const cases: Case[] | undefined = await Deno.readTextFile(golden)
  .then((text) => JSON.parse(text).cases, () => undefined);

Deno.test({
  name: "findBestMapping() gives FuseLLM's mapping of real vocabularies" +
    (cases ? "" : " (skipped: shared/golden absent)"),
  ignore: !cases,
  async fn() {
    const { tokens } = await loadTokenizer(await realTokenizer("llama2"));
    const find = findBestMapping({ tokens, marker: "▁" });
    for (const { token, ...expected } of cases!) {
      const { spelling, ids, distance } = find(token, "Ġ");
      const spellings = ids.map((id) => tokens[id]!);
      assert.deepEqual(
        [spelling, spellings[0], distance],
        [expected.mapped_key, expected.best, expected.distance],
      );
      if (expected.all_best) assert.deepEqual(spellings, expected.all_best);
    }
  },
});
