import assert from "node:assert/strict";
import fc from "fast-check";
import { alignEnds } from "./byte_alignment.ts";

const encoder = new TextEncoder();

/** Ends of the code points of `from`, carried over to `to`, as pieces of `to`. */
function pieces(from: string, to: string): string[] {
  const bytes = encoder.encode(from);
  let length = 0;
  const ends = Int32Array.from(
    [...from].map((each) => length += encoder.encode(each).length),
  );
  const text = encoder.encode(to);
  const carried = alignEnds({ bytes, ends, isUnknown: () => false }, text);
  return Array.from(
    carried,
    (end, at) =>
      new TextDecoder().decode(text.subarray(carried[at - 1] ?? 0, end)),
  );
}

Deno.test("alignEnds() gives a composed character all that it was made of", () => {
  assert.deepEqual(pieces("caféx", "cafe\u0301x"), [
    "c",
    "a",
    "f",
    "e\u0301",
    "x",
  ]);
  assert.deepEqual(pieces("각a", "\u1100\u1161\u11a8a"), [
    "\u1100\u1161\u11a8",
    "a",
  ]);
  assert.deepEqual(pieces("Åb", "\u212bb"), ["\u212b", "b"]);
});

Deno.test("alignEnds() gives the first part of a decomposed character all of it", () => {
  assert.deepEqual(pieces("e\u0301x", "éx"), ["é", "", "x"]);
  assert.deepEqual(pieces("fix", "ﬁx"), ["ﬁ", "", "x"]);
});

Deno.test("alignEnds() gives dropped spaces to what follows", () => {
  assert.deepEqual(pieces("abc", "a  b\nc "), ["a", "  b", "\nc "]);
});

Deno.test("alignEnds() finds its way back after what it does not know", () => {
  const [head, tail] = ["x".repeat(50), "the end"];
  const ends = pieces(
    `${head}XYZ ${tail}`,
    `${head}??${"!".repeat(90)} ${tail}`,
  );
  assert.deepEqual(ends.slice(-tail.length), [...tail]);
  assert.deepEqual(ends.slice(0, head.length), [...head]);
});

for (const form of ["NFC", "NFD", "NFKC", "NFKD"]) {
  Deno.test(`alignEnds() cuts where the parts normalize alone to ${form}`, () => {
    const part = fc.oneof(
      fc.constantFrom(
        "a",
        "e\u0301",
        "ﬁ",
        "각",
        "\u1112\u1161\u11ab",
        "Ω",
        "ş\u0307",
      ),
      fc.constantFrom("ｶﾞ", "日", "x", " ", "\n", "①", "क़", "\u0958"),
    );
    fc.assert(fc.property(fc.array(part, { maxLength: 30 }), (parts) => {
      const text = parts.join("");
      const from = text.normalize(form);
      const ends = parts.map((_, at) =>
        encoder.encode(parts.slice(0, at + 1).join("").normalize(form)).length
      );
      const expected = parts.map((_, at) =>
        encoder.encode(parts.slice(0, at + 1).join("")).length
      );
      const actual = alignEnds({
        bytes: encoder.encode(from),
        ends: Int32Array.from(ends),
        isUnknown: () => false,
      }, encoder.encode(text));
      assert.deepEqual([...actual], expected);
    }));
  });
}

Deno.test("alignEnds() is monotone and complete whatever the texts", () => {
  const text = fc.string({ unit: "binary" });
  fc.assert(fc.property(text, text, (from, to) => {
    const bytes = encoder.encode(from);
    const ends = Int32Array.from(bytes, (_, at) => at + 1);
    const carried = alignEnds({
      bytes,
      ends,
      isUnknown: () => false,
    }, encoder.encode(to));
    carried.forEach((end, at) => assert.ok(end >= (carried[at - 1] ?? 0)));
    const length = encoder.encode(to).length;
    assert.equal(carried.at(-1), bytes.length > 0 ? length : undefined);
  }));
});
