import assert from "node:assert/strict";
import fc from "fast-check";
import { DOMAINS, keyOf, splitDocuments, SPLITS, unitsOf } from "./corpus.ts";

Deno.test("unitsOf() loses nothing", () => {
  const text = fc.string({ unit: fc.constantFrom(..."ab .\n!?;é".split("")) });
  fc.assert(fc.property(text, (text) => {
    assert.equal(unitsOf(text).join(""), text);
  }));
});

for (const [name, { read, budgets }] of Object.entries(DOMAINS)) {
  Deno.test(`splitDocuments() shares no sentence of ${name} between splits`, async () => {
    const splits = splitDocuments(await read(), budgets);
    const owner = new Map<string, string>();
    for (const split of SPLITS) {
      for (const { text } of splits[split]) {
        for (const unit of unitsOf(text).map(keyOf)) {
          if (unit.length < 60) continue;
          const other = owner.get(unit) ?? split;
          assert.equal(other, split, unit);
          owner.set(unit, split);
        }
      }
    }
    for (const split of ["test", "validation", "fusion"] as const) {
      assert.ok(splits[split].length >= 8, `${split} has few documents`);
    }
  });
}
