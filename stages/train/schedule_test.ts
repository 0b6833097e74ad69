import assert from "node:assert/strict";
import { learningRateAt, schedules } from "#/stages/train/schedule.ts";

const steps = 100;

Deno.test("learningRateAt() rises linearly to the peak at the end of the warm-up", () => {
  const options = {
    learningRate: 2,
    warmupRatio: 0.1,
    schedule: "cosine",
    steps,
  } as const;
  assert.equal(learningRateAt(1, options), 0.2);
  assert.equal(learningRateAt(10, options), 2);
  assert.equal(learningRateAt(11, options), 2);
});

for (const schedule of ["cosine", "linear", "constant"] as const) {
  Deno.test(`learningRateAt() never rises after the warm-up (${schedule})`, () => {
    const options = { learningRate: 1, warmupRatio: 0.008, schedule, steps };
    let last = Infinity;
    for (let step = 1; step <= steps; step++) {
      const rate = learningRateAt(step, options);
      assert.ok(rate > 0 && rate <= last);
      last = rate;
    }
  });
}

Deno.test("schedules.cosine() is half way down in the middle", () => {
  assert.ok(Math.abs(schedules.cosine(0.5) - 0.5) < 1e-12);
});
