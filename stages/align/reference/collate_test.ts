import assert from "node:assert/strict";
import { assertAllClose } from "#/tests/allclose.ts";
import { bfloat16 } from "#/stages/bfloat16.ts";
import { collate } from "./collate.ts";
import { asPublished, type ReferenceDefect } from "./reference_defects.ts";
import { fusedMultiplyAdd } from "./fused_multiply_add.ts";
import { numpyExp } from "./numpy_exp.ts";
import { numpySum } from "./numpy_sum.ts";

const without = (...names: ReferenceDefect[]) => ({
  defects: {
    ...asPublished,
    ...Object.fromEntries(names.map((name) => [name, false])),
  },
});
const step = { iterations: 0, marginalError: 0 };

Deno.test("bfloat16() keeps 8 bits, ties to even", () => {
  const values = [1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -17.03, 3.39e38, 0, -0];
  assert.deepEqual(values.map(bfloat16), [
    1,
    1,
    1 + 2 ** -6,
    -17,
    3.3895313892515355e38,
    0,
    -0,
  ]);
  assert.equal(bfloat16(3.4028e38), Infinity);
  assert.ok(Number.isNaN(bfloat16(NaN)));
});

Deno.test("collate() flattens masses with a softmax, as published", () => {
  const masses = {
    ...step,
    kind: "masses" as const,
    ids: [1, 2],
    values: [1, 0],
  };
  // e / (e + 1), to 8 bits.
  assert.deepEqual(collate(masses, []).probs, [0.73046875, 0.26953125]);
  const { probs } = collate(masses, [], without("softmax-over-masses"));
  assert.deepEqual(probs, [1, 0]);
});

Deno.test("collate() rounds logits before and after the softmax", () => {
  const logits = {
    ...step,
    kind: "logits" as const,
    ids: [1, 2],
    values: [17.07, 17],
  };
  assert.deepEqual(collate(logits, []).probs, [0.53125, 0.46875]);
  const { probs } = collate(logits, [], without("bf16"));
  // 1 / (1 + e^−0.07); round-off of 17.07 − 17.
  assertAllClose(probs, [0.517492857666, 0.482507142334], {
    rtol: 0,
    atol: 1e-12,
  });
});

Deno.test("collate() softens by the temperature", () => {
  const values = [Math.log(0.64), Math.log(0.36)];
  const logits = { ...step, kind: "logits" as const, ids: [1, 2], values };
  const options = { temperature: 2, ...without("bf16") };
  assertAllClose(collate(logits, [], options).probs, [4 / 7, 3 / 7], {
    rtol: 1e-12, // f64 round-off
    atol: 0,
  });
});

Deno.test("collate() gives a row without tokens the target's own distribution", () => {
  const empty = { ...step, kind: "logits" as const, ids: [], values: [] };
  const own = [{ id: 4, logit: 2 }, { id: 7, logit: 2 }];
  assert.deepEqual(collate(empty, own), { ids: [4, 7], probs: [0.5, 0.5] });
  const none = { ...empty, kind: "none" as const };
  assert.deepEqual(collate(none, own), { ids: [], probs: [] });
});

Deno.test("numpyExp() gives numpy's last bit", () => {
  // numpy 1.24.4 with AVX-512; the nearest doubles end in 515, 594, 694 and 457.
  assert.equal(numpyExp(-90), 8.194012623990516e-40);
  assert.equal(numpyExp(-180), 6.714184288211592e-79);
  assert.equal(numpyExp(-240), 5.879282698245269e-105);
  assert.equal(numpyExp(-270), 5.501611081740456e-118);
  assert.deepEqual([0, -720, 710, -Infinity].map(numpyExp), [
    1,
    Math.exp(-720),
    Infinity,
    0,
  ]);
});

Deno.test("fusedMultiplyAdd() rounds once", () => {
  const tiny = 2 ** -30;
  // (1 + ε)² − (1 + 2ε) = ε², which a rounded product loses.
  assert.equal(fusedMultiplyAdd(1 + tiny, 1 + tiny, -1 - 2 * tiny), tiny ** 2);
  assert.equal(fusedMultiplyAdd(2, 3, 4), 10);
  // A tie of 1 + 2⁻⁵³ that 2⁻¹⁰⁵ decides, upwards and downwards.
  const half = 2 ** -53;
  assert.equal(fusedMultiplyAdd(half, 1 + 2 * half, 1), 1 + 2 ** -52);
  assert.equal(fusedMultiplyAdd(half, 1 - half, 1), 1);
});

Deno.test("numpySum() adds in pairs, as numpy does", () => {
  const values = Float64Array.from({ length: 301 }, (_, k) => 1 / (k + 1));
  const exact = [...values].reverse().reduce((sum, value) => sum + value, 0);
  assertAllClose([numpySum(values)], [exact], { rtol: 1e-15, atol: 0 });
  // Eight lanes: 2⁵³ swallows only what shares its lane.
  assert.equal(numpySum([2 ** 53, ...Array(7).fill(1), 1]), 2 ** 53 + 8);
  assert.equal(numpySum([1, 2, 3], 1, 3), 5);
});
