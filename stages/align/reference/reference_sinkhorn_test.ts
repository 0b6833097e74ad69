import assert from "node:assert/strict";
import fc from "fast-check";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  asPublished,
  corrected,
  type ReferenceDefect,
  type ReferenceDefects,
} from "./reference_defects.ts";
import {
  type ReferenceProblem,
  referenceSinkhorn,
} from "./reference_sinkhorn.ts";

/** As published but for some defects. */
const without = (...names: ReferenceDefect[]): ReferenceDefects => ({
  ...asPublished,
  ...Object.fromEntries(names.map((name) => [name, false])),
});

const problems = fc.tuple(
  fc.integer({ min: 1, max: 7 }),
  fc.integer({ min: 1, max: 7 }),
).chain(([n, m]) =>
  fc.record({
    cost: fc.array(fc.nat(11), { minLength: n * m, maxLength: n * m }),
    a: fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), {
      minLength: n,
      maxLength: n,
    }).map(normalized),
    b: fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), {
      minLength: m,
      maxLength: m,
    }).map(normalized),
  })
);

function normalized(values: number[]): number[] {
  const total = values.reduce((sum, value) => sum + value, 0);
  return values.map((value) => value / total);
}

Deno.test("referenceSinkhorn() meets the columns, as published, not the rows", () => {
  // Nothing is free: with rows a, the columns would not be b.
  const { plan, marginalError } = referenceSinkhorn({
    cost: [0, 9, 9, 0],
    a: [0.9, 0.1],
    b: [0.2, 0.8],
  });
  // Round-off of the last column step.
  assertAllClose([plan[0]! + plan[2]!, plan[1]! + plan[3]!], [0.2, 0.8], {
    rtol: 1e-12,
    atol: 0,
  });
  assert.ok(marginalError > 1, `${marginalError}`);
});

Deno.test("referenceSinkhorn() without defects meets the rows", () => {
  fc.assert(fc.property(problems, (problem) => {
    const { marginalError } = referenceSinkhorn(problem, {
      defects: corrected,
    });
    assert.ok(marginalError < 1e-12, `${marginalError}`); // f64 round-off
  }));
});

Deno.test("referenceSinkhorn() stops later where it asks whether rows are met", () => {
  const problem: ReferenceProblem = {
    cost: [0, 1, 1, 0],
    a: [0.7, 0.3],
    b: [0.3, 0.7],
  };
  const published = referenceSinkhorn(problem);
  const defects = without("stop-rule", "clamp", "primal");
  const converged = referenceSinkhorn(problem, { defects });
  assert.ok(converged.marginalError <= 2e-5);
  assert.ok(published.marginalError > converged.marginalError);
});

Deno.test("referenceSinkhorn() gives one plan in both forms where nothing underflows", () => {
  fc.assert(fc.property(problems, (problem) => {
    const lambda = 1;
    for (const relaxed of [[], ["balanced"]] as const) {
      const primal = without("clamp", ...relaxed);
      const log = without("clamp", "primal", ...relaxed);
      const options = { lambda, maxIterations: 23, threshold: 0 };
      assertAllClose(
        referenceSinkhorn(problem, { ...options, defects: log }).plan,
        referenceSinkhorn(problem, { ...options, defects: primal }).plan,
        { rtol: 1e-9, atol: 1e-12 }, // Round-off of logarithms, 23 sweeps.
      );
    }
  }));
});

Deno.test("referenceSinkhorn() survives large costs only as logarithms", () => {
  const problem = { cost: [25, 26, 26, 25], a: [0.5, 0.5], b: [0.5, 0.5] };
  assert.ok(referenceSinkhorn(problem).plan.every(Number.isNaN));
  const { plan } = referenceSinkhorn(problem, { defects: without("primal") });
  assertAllClose(plan, [0.5, 0, 0, 0.5], { rtol: 1e-12, atol: 1e-12 });
});

Deno.test("referenceSinkhorn() rejects marginals that do not fit", () => {
  const problem = { cost: [1, 2, 3], a: [1], b: [1, 0] };
  assert.throws(() => referenceSinkhorn(problem), {
    name: "RangeError",
    message: "Cannot solve a transport problem: cost has 3 entries, " +
      "expected 1 × 2, at least one",
  });
});

interface Case {
  label: string;
  M: number[][];
  r: number[];
  c: number[];
  lam: number;
  epsilon: number;
  P: (number | null)[][];
  dist: number | null;
  iterations: number;
}

const golden = new URL(
  "../../../../shared/golden/reference/sinkhorn.json",
  import.meta.url,
);
const cases: Case[] | undefined = await Deno.readTextFile(golden)
  .then((text) => JSON.parse(text).cases, () => undefined);

Deno.test({
  name: "referenceSinkhorn() gives PTA-LLM's plans after as many sweeps" +
    (cases ? "" : " (skipped: shared/golden absent)"),
  ignore: !cases,
  fn() {
    for (const { label, M, r, c, lam, epsilon, P, ...expected } of cases!) {
      const { plan, distance, iterations } = referenceSinkhorn(
        { cost: M.flat(), a: r, b: c },
        { lambda: lam, threshold: epsilon },
      );
      assert.equal(iterations, expected.iterations, label);
      // To the bit; what is not a number was written as null.
      const known = [...P.flat(), expected.dist].map((value) => value ?? NaN);
      assert.deepEqual([...plan, distance], known, label);
    }
  },
});
