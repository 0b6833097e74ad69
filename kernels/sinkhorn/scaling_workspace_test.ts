import assert from "node:assert/strict";
import fc from "fast-check";
import { ScalingWorkspace } from "#/kernels/sinkhorn/scaling_workspace.ts";
import {
  sinkhornCpu,
  sinkhornDefaults,
} from "#/kernels/sinkhorn/sinkhorn_cpu.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { transportProblems } from "#/tests/transport_problems.ts";

Deno.test("ScalingWorkspace.guess() changes the iterations, not the solution", () => {
  const taus = fc.constantFrom(0, 1 / 60, 1 / 30, 0.1);
  let [guessed, plain] = [0, 0];
  fc.assert(fc.property(transportProblems(), taus, (problems, tau) => {
    const { rows, cols } = problems;
    const settings = { ...sinkhornDefaults, tau, threshold: 1e-9 };
    const space = new ScalingWorkspace(rows, cols, settings);
    // Zeros cannot be columns here: an even share of mass instead.
    const b = problems.b.slice(0, cols).map((mass) => mass + 1e-3);
    const a = problems.a.slice(0, rows);
    const cost = problems.cost.slice(0, rows * cols);
    const solve = (guesses: boolean) => {
      space.begin(b, cols);
      for (let i = 0; i < rows; i++) {
        space.addRow(a[i]!, cost.subarray(i * cols, (i + 1) * cols));
      }
      if (guesses) space.guess();
      assert.ok(space.solve());
      const sums = new Float64Array(cols);
      space.columnSums(sums);
      return sums;
    };
    const { columnSums } = sinkhornCpu({ cost, a, b, rows, cols }, settings);
    // The threshold, and f32 in the definition's output.
    const tolerance = { rtol: 1e-5, atol: 1e-7 };
    assertAllClose(solve(false), columnSums, tolerance);
    plain += space.iterations;
    assertAllClose(solve(true), columnSums, tolerance);
    guessed += space.iterations;
  }));
  assert.ok(guessed < plain, `${guessed} iterations, ${plain} without`);
});
