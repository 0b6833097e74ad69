import assert from "node:assert/strict";
import fc from "fast-check";
import { NearestStrings } from "./nearest_strings.ts";

/** A textbook table over code points. */
function levenshtein(first: string, second: string): number {
  const [a, b] = [[...first], [...second]];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  a.forEach((x, i) => {
    const here = [i + 1];
    b.forEach((y, j) => {
      const replaced = above[j]! + (x === y ? 0 : 1);
      here.push(Math.min(replaced, above[j + 1]! + 1, here[j]! + 1));
    });
    above = here;
  });
  return above[b.length]!;
}

const character = fc.constantFrom("a", "b", "c", "▁", "é", "𝒳", "😀");
const text = (maxLength: number) =>
  fc.array(character, { maxLength }).map((all) => all.join(""));

Deno.test("NearestStrings.distances() counts edits of code points", () => {
  const strings = fc.array(text(41), { maxLength: 5 });
  fc.assert(fc.property(strings, text(41), (all, query) => {
    const expected = all.map((each) => levenshtein(query, each));
    assert.deepEqual([...new NearestStrings(all).distances(query)], expected);
  }));
});

Deno.test("NearestStrings.nearest() lists every string at the least distance", () => {
  const strings = fc.array(text(7), { minLength: 1, maxLength: 23 });
  fc.assert(fc.property(strings, text(37), (all, query) => {
    const distances = all.map((each) => levenshtein(query, each));
    const distance = Math.min(...distances);
    const indexes = [...all.keys()].filter((k) => distances[k] === distance);
    assert.deepEqual(new NearestStrings(all).nearest(query), {
      indexes,
      distance,
    });
  }));
});

Deno.test("NearestStrings takes characters that no string has as different", () => {
  const set = new NearestStrings(["xy", ""]);
  assert.deepEqual([...set.distances("zw")], [2, 2]);
  assert.deepEqual(set.nearest("zw"), { indexes: [0, 1], distance: 2 });
  assert.deepEqual(new NearestStrings([]).nearest("a"), {
    indexes: [],
    distance: Infinity,
  });
});
