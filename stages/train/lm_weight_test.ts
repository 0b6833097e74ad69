import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type LmWeightContext,
  type LmWeightSchedule,
  lmWeightSchedules,
} from "#/stages/train/lm_weight.ts";

const says = (p: number) => ({ ids: [3], probs: [p], residual: 1 - p });
const base: LmWeightContext = {
  lmWeight: 0.6,
  progress: 0,
  fused: says(0.5),
  own: says(0.5),
  label: 3,
  vocabSize: 11,
};
const unit = fc.double({ min: 0, max: 1, noNaN: true });

for (const [name, schedule] of Object.entries(lmWeightSchedules)) {
  const { lmWeight }: LmWeightSchedule = schedule;

  Deno.test(`${name}: lmWeight() is between λ and 1, and λ at first for a good teacher`, () => {
    fc.assert(
      fc.property(unit, unit, unit, unit, (lambda, progress, p, q) => {
        const context = { ...base, lmWeight: lambda, progress };
        const value = lmWeight({ ...context, fused: says(p), own: says(q) });
        assert.ok(value >= lambda - 1e-12 && value <= 1 + 1e-12);
      }),
    );
    assert.ok(Math.abs(lmWeight(base) - 0.6) < 1e-12);
  });
}

Deno.test("decay goes in a line from λ to 1", () => {
  const at = (progress: number) =>
    lmWeightSchedules.decay.lmWeight({ ...base, progress });
  assert.ok(Math.abs(at(0.5) - 0.8) < 1e-12);
  assert.ok(Math.abs(at(1) - 1) < 1e-12);
});

Deno.test("adaptive trusts a teacher as far as it knows the label", () => {
  const of = (p: number, q: number, label = 3) =>
    lmWeightSchedules.adaptive.lmWeight({
      ...{ ...base, fused: says(p), own: says(q), label },
    });
  assert.equal(of(0.75, 0.5), of(0.5, 0.5));
  assert.ok(Math.abs(of(0.1, 0.5) - (1 - 0.4 * 0.2)) < 1e-12);
  assert.equal(of(0, 0.5), 1);
  // Neither lists token 4: an even share of 0.2 against one of 0.4.
  assert.ok(Math.abs(of(0.8, 0.6, 4) - (1 - 0.4 * 0.5)) < 1e-12);
});
