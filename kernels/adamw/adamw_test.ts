import assert from "node:assert/strict";
import fc from "fast-check";
import { adamw, allocateAdamw, sumSquares } from "#/kernels/adamw/adamw.ts";
import {
  type AdamwArrays,
  adamwCpu,
  sumSquaresCpu,
} from "#/kernels/adamw/adamw_cpu.ts";
import { assertAllClose } from "#/tests/allclose.ts";

const lengths = fc.constantFrom(0, 1, 2, 3, 5, 127, 8191, 8192, 8193, 20011);

Deno.test("adamw() matches adamwCpu() over several steps", () => {
  fc.assert(
    fc.property(lengths, fc.integer(), (length, seed) => {
      const actual = randomArrays(length, seed);
      const expected = copy(actual);
      for (let step = 1; step <= 3; step++) {
        const options = {
          step,
          learningRate: 3e-3,
          beta2: 0.95,
          weightDecay: 0.1,
          gradScale: 0.37,
        };
        adamw(actual, options);
        adamwCpu(expected, options);
      }
      // Each of a dozen f32 operations rounds by 6e-8 of its operands.
      assertAllClose(actual.m, expected.m, { rtol: 1e-5, atol: 1e-8 });
      assertAllClose(actual.v, expected.v, { rtol: 1e-5, atol: 1e-9 });
      assertAllClose(actual.param, expected.param, { rtol: 1e-6, atol: 1e-7 });
    }),
    { numRuns: 20 },
  );
});

Deno.test("adamw() moves every weight by the learning rate at step 1", () => {
  const arrays = randomArrays(101, 7);
  const before = arrays.param.slice();
  adamw(arrays, { step: 1, learningRate: 0.5 });
  // m̂ / √v̂ is the sign of the gradient; ε = 1e-8 is below f32 rounding here.
  assertAllClose(
    arrays.param,
    before.map((param, i) => param - 0.5 * Math.sign(arrays.grad[i]!)),
    { rtol: 0, atol: 1e-5 },
  );
});

Deno.test("adamw() decays a weight without a gradient by lr times decay", () => {
  const arrays = randomArrays(37, 3);
  arrays.grad.fill(0);
  arrays.m.fill(0);
  arrays.v.fill(0);
  const before = arrays.param.slice();
  adamw(arrays, { step: 5, learningRate: 1e-2, weightDecay: 0.1 });
  assertAllClose(arrays.param, before.map((param) => param * (1 - 1e-3)), {
    rtol: 2e-7, // one rounding of the product, one of the difference
    atol: 0,
  });
});

Deno.test("adamw() gives the same bits twice", () => {
  const [one, two] = [randomArrays(20011, 11), randomArrays(20011, 11)];
  adamw(one, { step: 1, learningRate: 1e-3, weightDecay: 0.1 });
  adamw(two, { step: 1, learningRate: 1e-3, weightDecay: 0.1 });
  assert.deepEqual(one, two);
});

Deno.test("adamw() gives arrays of allocateAdamw() the same bits", () => {
  fc.assert(
    fc.property(fc.array(lengths, { maxLength: 4 }), (sizes) => {
      const together = allocateAdamw(sizes);
      const apart = sizes.map((length, i) => randomArrays(length, i));
      together.forEach((arrays, i) => assign(arrays, apart[i]!));
      const options = { step: 2, learningRate: 1e-3, weightDecay: 0.1 };
      // The neighbours of an array stay as they are while it changes.
      for (let i = 0; i < sizes.length; i++) {
        adamw(together[i]!, options);
        adamw(apart[i]!, options);
        together.forEach((arrays, j) => {
          for (const name of ["param", "grad", "m", "v"] as const) {
            assert.deepEqual(arrays[name], apart[j]![name]);
          }
        });
      }
    }),
    { numRuns: 20 },
  );
});

Deno.test("adamw() leaves what lies behind a part of an array", () => {
  const [arrays] = allocateAdamw([20]);
  assign(arrays!, randomArrays(20, 1));
  const before = copy(arrays!);
  const { param, grad, m, v } = arrays!;
  adamw({
    param: param.subarray(1, 8),
    grad: grad.subarray(1, 8),
    m: m.subarray(1, 8),
    v: v.subarray(1, 8),
  }, { step: 1, learningRate: 1 });
  const changed = [...param.keys()].filter((i) => param[i] !== before.param[i]);
  assert.deepEqual(changed, [1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("adamw() throws if the lengths differ", () => {
  const arrays = { ...randomArrays(4, 1), grad: new Float32Array(3) };
  assert.throws(
    () => adamw(arrays, { step: 1, learningRate: 1 }),
    new RangeError(
      "Cannot update weights: param, grad, m and v have 4, 3, 4 and 4 entries, " +
        "expected one length",
    ),
  );
});

Deno.test("sumSquares() matches sumSquaresCpu()", () => {
  fc.assert(
    fc.property(lengths, fc.integer(), (length, seed) => {
      adamw(randomArrays(9001, 5), { step: 1, learningRate: 1 }); // dirty memory
      const { param } = randomArrays(length, seed);
      const [allocated] = allocateAdamw([length]);
      allocated!.param.set(param);
      // f64 sums in two orders.
      for (const array of [param, allocated!.param]) {
        assertAllClose([sumSquares(array)], [sumSquaresCpu(param)], {
          rtol: 1e-12,
          atol: 0,
        });
      }
    }),
    { numRuns: 20 },
  );
});

Deno.test("sumSquares() passes NaN and infinity on", () => {
  assert.ok(Number.isNaN(sumSquares(Float32Array.of(1, NaN, 2))));
  assert.equal(sumSquares(Float32Array.of(1, 2, 3, 4, -Infinity)), Infinity);
});

function randomArrays(length: number, seed: number): AdamwArrays {
  let state = seed | 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  };
  const fill = (scale: number) =>
    Float32Array.from({ length }, () => scale * (random() || 0.5));
  return {
    param: fill(1),
    grad: fill(0.1),
    m: new Float32Array(length),
    v: new Float32Array(length),
  };
}

function assign(to: AdamwArrays, from: AdamwArrays): void {
  for (const name of ["param", "grad", "m", "v"] as const) {
    to[name].set(from[name]);
  }
}

function copy({ param, grad, m, v }: AdamwArrays): AdamwArrays {
  return {
    param: param.slice(),
    grad: grad.slice(),
    m: m.slice(),
    v: v.slice(),
  };
}
