import assert from "node:assert/strict";
import fc from "fast-check";
import { requestDevice } from "#/kernels/device.ts";
import { sinkhorn } from "#/kernels/sinkhorn/sinkhorn.ts";
import {
  LEAST_MASS,
  sinkhornCpu,
  type TransportProblems,
} from "#/kernels/sinkhorn/sinkhorn_cpu.ts";
import { sinkhornScaling } from "#/kernels/sinkhorn/sinkhorn_scaling.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { stainPool } from "#/tests/stain_pool.ts";
import { mulberry32, transportProblems } from "#/tests/transport_problems.ts";

const device = await requestDevice();

const taus = fc.constantFrom(0, 1 / 30, 0.1, 1, Infinity);

Deno.test("sinkhornCpu() with infinite tau matches POT on two tokens", () => {
  // ot.sinkhorn([.5, .5], [.5, .5], [[0, 1], [1, 0]], reg=1), POT's own example.
  const { plan } = sinkhornCpu({
    cost: Float32Array.of(0, 1, 1, 0),
    a: Float32Array.of(0.5, 0.5),
    b: Float32Array.of(0.5, 0.5),
    rows: 2,
    cols: 2,
  }, { epsilon: 1, tau: Infinity, plan: true });
  assertAllClose(
    plan!,
    [0.36552929, 0.13447071, 0.13447071, 0.36552929],
    { rtol: 1e-6, atol: 0 },
  );
});

Deno.test("sinkhornCpu() meets the source marginal wherever it stops", () => {
  fc.assert(
    fc.property(
      transportProblems(16),
      taus,
      fc.integer({ min: 1, max: 4 }),
      (problems, tau, iterations) => {
        const options = { tau, iterations, plan: true };
        const { plan } = sinkhornCpu(problems, options);
        // Closing with f makes rows exact: only f32 storage is left.
        assertAllClose(rowSums(plan!, problems), problems.a, {
          rtol: 1e-6,
          atol: 1e-7,
        });
      },
    ),
  );
});

Deno.test("sinkhornCpu() with infinite tau meets the target marginal", () => {
  fc.assert(
    fc.property(transportProblems(), (problems) => {
      const options = { epsilon: 1, tau: Infinity, iterations: 5000 };
      const { columnSums } = sinkhornCpu(problems, options);
      // The threshold bounds the error of the marginals, in L1.
      assertAllClose(columnSums, problems.b, { rtol: 0, atol: 1e-5 });
    }),
    { numRuns: 30 },
  );
});

Deno.test("sinkhornCpu() with tau 0 is the soft nearest neighbour", () => {
  fc.assert(fc.property(transportProblems(), (problems) => {
    const { rows, cols, cost, a, b } = problems;
    const { plan, iterations } = sinkhornCpu(problems, {
      epsilon: 0.5,
      tau: 0,
      plan: true,
    });
    assert.ok(iterations.every((count) => count === 1));
    const expected = plan!.map((_, index) => {
      const row = Math.floor(index / cols);
      const col0 = Math.floor(row / rows) * cols;
      const weight = (j: number) =>
        b[col0 + j]! >= LEAST_MASS ? Math.exp(-cost[row * cols + j]! / 0.5) : 0;
      let sum = 0;
      for (let j = 0; j < cols; j++) sum += weight(j);
      return a[row]! * weight(index % cols) / sum;
    });
    assertAllClose(plan!, expected, { rtol: 1e-6, atol: 1e-9 });
  }));
});

Deno.test("sinkhornCpu() minimizes its objective", () => {
  fc.assert(
    fc.property(
      transportProblems(),
      fc.integer(),
      (problems, seed) => {
        const options = { epsilon: 0.7, tau: 0.4, threshold: 1e-12 };
        const { plan } = sinkhornCpu(problems, { ...options, plan: true });
        const random = mulberry32(seed);
        const best = objective(plan!, problems, options);
        // A step along a random direction that keeps row sums and zeros.
        const moved = Float64Array.from(plan!, (p) => p * (1 + random() * 0.1));
        const sums = rowSums(moved, problems);
        moved.forEach((p, index) => {
          const row = Math.floor(index / problems.cols);
          moved[index] = sums[row] ? p * problems.a[row]! / sums[row]! : 0;
        });
        // The optimum is flat: f32 storage of P moves it by about 1e-7.
        assert.ok(objective(moved, problems, options) >= best - 1e-6);
      },
    ),
  );
});

Deno.test("sinkhornCpu() tends to the product of the marginals as epsilon grows", () => {
  fc.assert(fc.property(transportProblems(), (problems) => {
    const { a, b, rows, cols } = problems;
    const { plan } = sinkhornCpu(problems, {
      epsilon: 1e6,
      tau: Infinity,
      plan: true,
    });
    const product = plan!.map((_, index) => {
      const row = Math.floor(index / cols);
      return a[row]! * b[Math.floor(row / rows) * cols + index % cols]!;
    });
    assertAllClose(plan!, product, { rtol: 1e-4, atol: 1e-7 });
  }));
});

Deno.test("sinkhornCpu() ignores what its padding costs", () => {
  fc.assert(fc.property(transportProblems(), taus, (problems, tau) => {
    const { cost, b, a, rows, cols } = problems;
    const other = cost.map((c, index) => {
      const row = Math.floor(index / cols);
      const col0 = Math.floor(row / rows) * cols;
      return a[row]! < LEAST_MASS || b[col0 + index % cols]! < LEAST_MASS
        ? 3
        : c;
    });
    const options = { tau, iterations: 20, plan: true };
    assert.deepEqual(
      sinkhornCpu({ ...problems, cost: other }, options),
      sinkhornCpu(problems, options),
    );
  }));
});

Deno.test("sinkhornScaling() matches sinkhornCpu()", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        transportProblems(),
        transportProblems(60),
        transportProblems(16, [[17, 19]]),
      ),
      taus,
      (problems, tau) => {
        const options = { tau, iterations: 40, threshold: 0, plan: true };
        const actual = sinkhornScaling(problems, options);
        const expected = sinkhornCpu(problems, options);
        // Both in f64; a cell that is left out holds less than 1e-10.
        const close = { rtol: 1e-6, atol: 1e-9 };
        assertAllClose(actual.plan!, expected.plan!, close);
        assertAllClose(actual.columnSums, expected.columnSums, close);
        assertAllClose(actual.marginalError, expected.marginalError, {
          rtol: 1e-4,
          atol: 1e-9,
        });
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("sinkhorn functions give no plan to a side without mass", async () => {
  const problems = {
    cost: Float32Array.of(0, 1, 1, 0, 0, 1, 1, 0),
    a: Float32Array.of(0.5, 0.5, 0, 0),
    b: Float32Array.of(0, 0, 0.5, 0.5),
    rows: 2,
    cols: 2,
  };
  const outputs = [sinkhornCpu(problems), sinkhornScaling(problems)];
  if (device) outputs.push(await sinkhorn(device, problems));
  for (const { columnSums, marginalError, iterations } of outputs) {
    assert.deepEqual([...columnSums], [0, 0, 0, 0]);
    assert.deepEqual([...marginalError], [1, 0]);
    assert.deepEqual([...iterations], [0, 0]);
  }
});

Deno.test({
  name: "sinkhorn() matches sinkhornCpu()",
  ignore: !device,
  async fn() {
    const options = { threshold: 0, iterations: 30, plan: true };
    await fc.assert(
      fc.asyncProperty(
        // Each size and each tau is compiled anew; the last is not unrolled.
        transportProblems(16, [[7, 13], [17, 19]]),
        fc.constantFrom(0, 1 / 30, Infinity),
        async (problems, tau) => {
          await stainPool(device!);
          const actual = await sinkhorn(device!, problems, { ...options, tau });
          const expected = sinkhornCpu(problems, { ...options, tau });
          // Potentials reach 16 / eps = 480 where tau is infinite: an f32 ulp
          // of them is 3e-5, and exp() turns it into a relative error, once for
          // each of a few roundings.
          const close = { rtol: tau === Infinity ? 2e-3 : 3e-4, atol: 1e-6 };
          assertAllClose(actual.plan!, expected.plan!, close);
          assertAllClose(actual.columnSums, expected.columnSums, close);
          assertAllClose(actual.marginalError, expected.marginalError, {
            rtol: 1e-2,
            atol: 2e-4,
          });
        },
      ),
      { numRuns: 40 },
    );
  },
});

Deno.test({
  name: "sinkhorn() runs every iteration of problems cut into passes",
  ignore: !device,
  async fn() {
    const [rows, cols, iterations] = [64, 128, 7];
    const random = mulberry32(1);
    const problems = {
      cost: Float32Array.from(
        { length: rows * cols },
        () => Math.floor(random() * 9),
      ),
      a: new Float32Array(rows).fill(1 / rows),
      b: new Float32Array(cols).fill(1 / cols),
      rows,
      cols,
    };
    const options = { tau: Infinity, iterations, threshold: 0 };
    const actual = await sinkhorn(device!, problems, options);
    const expected = sinkhornCpu(problems, options);
    assert.deepEqual([...actual.iterations], [iterations]);
    // As above, for costs up to 8.
    assertAllClose(actual.columnSums, expected.columnSums, {
      rtol: 1e-3,
      atol: 1e-6,
    });
  },
});

Deno.test({
  name: "sinkhorn() stays exact where costs are 60 edits",
  ignore: !device,
  async fn() {
    const sizes = [[1, 5], [5, 1], [11, 3]] as const;
    const options = { tau: Infinity, threshold: 0, iterations: 40, plan: true };
    await fc.assert(
      fc.asyncProperty(transportProblems(60, sizes), async (problems) => {
        const actual = await sinkhorn(device!, problems, options);
        const expected = sinkhornCpu(problems, options);
        // Potentials reach 60 / eps = 1800: as above, with ulps of 1e-4.
        const close = { rtol: 5e-3, atol: 1e-5 };
        assertAllClose(actual.plan!, expected.plan!, close);
        assertAllClose(rowSums(actual.plan!, problems), problems.a, {
          rtol: 1e-5,
          atol: 1e-7,
        });
      }),
      { numRuns: 150 },
    );
  },
});

Deno.test({
  name: "sinkhorn() goes on from pass to pass where it is unrolled",
  ignore: !device,
  async fn() {
    // Where the plan's support is not the kernel's, convergence is sublinear.
    const problems = {
      cost: Float32Array.of(0, 0, 0, 60),
      a: Float32Array.of(0.5, 0.5),
      b: Float32Array.of(0.5, 0.5),
      rows: 2,
      cols: 2,
    };
    const options = { tau: Infinity, iterations: 2003, threshold: 0 };
    const actual = await sinkhorn(device!, problems, {
      ...options,
      plan: true,
    });
    const expected = sinkhornCpu(problems, { ...options, plan: true });
    assert.deepEqual([...actual.iterations], [options.iterations]);
    // The cell that tends to 0 is 1 / 4000 here; roundings add up.
    assertAllClose(actual.plan!, expected.plan!, { rtol: 1e-2, atol: 1e-9 });
  },
});

Deno.test({
  name: "sinkhorn() throws if cost does not fit the marginals",
  ignore: !device,
  async fn() {
    await assert.rejects(
      sinkhorn(device!, {
        cost: new Float32Array(5),
        a: new Float32Array(2),
        b: new Float32Array(3),
        rows: 2,
        cols: 3,
      }),
      new RangeError(
        "Cannot solve transport problems: cost has 5 entries, expected [1, 2, 3]",
      ),
    );
  },
});

Deno.test("sinkhornCpu() throws if an option is out of range", () => {
  const problems = {
    cost: new Float32Array(1),
    a: new Float32Array(1),
    b: new Float32Array(1),
    rows: 1,
    cols: 1,
  };
  for (
    const options of [
      { epsilon: 0 },
      { epsilon: NaN },
      { tau: -1 },
      { threshold: NaN },
      { iterations: 1.5 },
    ]
  ) assert.throws(() => sinkhornCpu(problems, options), RangeError);
});

Deno.test.afterAll(() => device?.destroy());

function rowSums(
  plan: ArrayLike<number>,
  { a, cols }: TransportProblems,
): Float64Array {
  const sums = new Float64Array(a.length);
  for (let index = 0; index < plan.length; index++) {
    sums[Math.floor(index / cols)]! += plan[index]!;
  }
  return sums;
}

/** ⟨C, P⟩ − ε H(P) + τ KL(Pᵀ 1 ‖ b), H(P) = −Σ P (log P − 1), over the batch. */
function objective(
  plan: ArrayLike<number>,
  { cost, b, rows, cols }: TransportProblems,
  { epsilon, tau }: { epsilon: number; tau: number },
): number {
  const xlog = (x: number, y: number) => x > 0 ? x * Math.log(x / y) : 0;
  const columns = new Float64Array(b.length);
  let value = 0;
  for (let index = 0; index < plan.length; index++) {
    const p = plan[index]!;
    const problem = Math.floor(index / (rows * cols));
    columns[problem * cols + index % cols]! += p;
    value += p * cost[index]! + epsilon * (xlog(p, 1) - p);
  }
  columns.forEach((sum, j) => value += tau * (xlog(sum, b[j]!) - sum + b[j]!));
  return value;
}
