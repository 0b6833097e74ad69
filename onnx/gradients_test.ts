import assert from "node:assert/strict";
import {
  cast,
  clip,
  concat,
  createSession,
  encodeModel,
  erf,
  expand,
  gather,
  gatherElements,
  gelu,
  gemm,
  GRADIENTS,
  gradients,
  layerNorm,
  matmul,
  type OpType,
  reduceMax,
  reduceMean,
  reduceSum,
  reshape,
  rmsNorm,
  rotaryEmbedding,
  scatterAdd,
  softmax,
  split,
  splitEqually,
  Tape,
  type Tensor,
  topK,
  transpose,
  type Value,
  where,
} from "#/onnx/mod.ts";
import * as ew from "#/onnx/elementwise.ts";

/** Real inputs by shape, and the operation under test. */
interface Case {
  shapes: number[][];
  apply: (...inputs: Value[]) => Value;
  /** Keeps inputs inside the domain. */
  map?: (x: number) => number;
}

/** Operations whose results are not real numbers have no gradient to check. */
const discrete = "discrete";

const ids = (x: Value, shape: number[], entries: number[]) =>
  x.tape.constant("int64", shape, entries);
const unary = (apply: (x: Value) => Value, map = (x: number) => x): Case => ({
  shapes: [[3, 5]],
  apply,
  map,
});
/** Broadcasts along a leading, a middle and a missing axis. */
const binary = (apply: (a: Value, b: Value) => Value): Case => ({
  shapes: [[2, 1, 5], [3, 1]],
  apply,
  map: away,
});
const positive = (x: number) => Math.abs(x) + 0.5;
/** Off the kinks at 0, ±0.5 and ±1. */
const away = (x: number) => Math.sign(x) * (Math.abs(x) % 0.3 + 0.1);

const CASES: { readonly [Op in OpType]: readonly Case[] | typeof discrete } = {
  Identity: [unary((x) => x.tape.record("Identity", [x], {}, [x])[0]!)],
  Add: [binary(ew.add)],
  Sub: [binary(ew.sub)],
  Mul: [binary(ew.mul)],
  Div: [binary(ew.div)],
  Neg: [unary(ew.neg)],
  Reciprocal: [unary(ew.reciprocal, positive)],
  Sqrt: [unary(ew.sqrt, positive)],
  Exp: [unary(ew.exp)],
  Log: [unary(ew.log, positive)],
  Sin: [unary(ew.sin)],
  Cos: [unary(ew.cos)],
  Tanh: [unary(ew.tanh)],
  Erf: [unary(erf)],
  Sigmoid: [unary(ew.sigmoid)],
  Relu: [unary(ew.relu, away)],
  Gelu: [unary((x) => gelu(x, "none")), unary((x) => gelu(x, "tanh"))],
  Clip: [unary((x) => clip(x, -0.25, 0.25), (x) => 2 * away(x))],
  Round: [unary(ew.round, away)],
  Cast: [
    unary((x) =>
      cast(cast(x, x.type === "float64" ? "float32" : "float64"), x.type)
    ),
  ],
  Where: [{
    shapes: [[2, 3], [3]],
    apply: (a, b) =>
      where(
        cast(ids(a, [2, 1], [1, 0]), "bool"),
        a,
        b,
      ),
  }],
  Equal: discrete,
  Less: discrete,
  LessOrEqual: discrete,
  And: discrete,
  Reshape: [unary((x) => reshape(x, [5, 3]))],
  Transpose: [{
    shapes: [[2, 3, 5]],
    apply: (x) => transpose(x, [2, 0, 1]),
  }],
  Expand: [{ shapes: [[3, 1]], apply: (x) => expand(x, [2, 3, 5]) }],
  Concat: [{ shapes: [[2, 3], [2, 5]], apply: (a, b) => concat([a, b], 1) }],
  Split: [
    // One part is used twice, another not at all.
    unary((x) => {
      const [a, b] = split(x, 1, [2, 2, 1]);
      return ew.mul(ew.mul(a!, a!), b!);
    }),
    unary((x) => split(x, 1, [2, 3])[1]!),
    unary((x) => {
      const [a, , c] = splitEqually(x, 1, [2, 2, 1]);
      return ew.mul(a!, c!);
    }),
  ],
  Shape: discrete,
  Range: discrete,
  ReduceSum: [unary((x) => reduceSum(x, [0]))],
  ReduceMean: [unary((x) => reduceMean(x, [-1])), {
    shapes: [[2, 3, 5]],
    apply: (x) => reduceMean(x, [0, 2]),
  }],
  ReduceMax: [unary((x) => reduceMax(x, [-1]))],
  Gemm: [false, true].flatMap((transA) =>
    [false, true].map((transB): Case => ({
      shapes: [transA ? [5, 2] : [2, 5], transB ? [3, 5] : [5, 3], [3]],
      apply: (a, b, bias) => gemm(a, b, { transA, transB, bias, alpha: 0.7 }),
    }))
  ).concat([false, true].map((transB): Case => ({
    // Rows longer than those of a, with a factor each: scaled on a's side.
    shapes: [[3, 2], transB ? [5, 2] : [2, 5], [5], [3, 1]],
    apply: (a, b, bias, factor) =>
      ew.mul(ew.mul(gemm(a, b, { transB, bias, alpha: 0.7 }), factor), factor),
  }))),
  MatMul: [
    {
      shapes: [[2, 1, 3, 5], [7, 5, 2]],
      apply: matmul,
    },
  ],
  Softmax: [unary(softmax)],
  LayerNormalization: [
    {
      shapes: [[3, 5], [5], [5]],
      apply: (x, weight, bias) => layerNorm(x, weight, 1e-2, bias),
    },
    { shapes: [[3, 5], [5]], apply: (x, w) => layerNorm(x, w, 1e-2) },
  ],
  RMSNormalization: [
    { shapes: [[3, 5], [5]], apply: (x, w) => rmsNorm(x, w, 1e-2) },
  ],
  RotaryEmbedding: [2, 6].flatMap((turned) =>
    [false, true].map((interleaved): Case => ({
      shapes: [[2, 3, 18]],
      apply: (x) => {
        const angles = Array.from({ length: 3 * turned }, (_, i) => i / 2);
        const [cos, sin] = [Math.cos, Math.sin].map((f) =>
          x.tape.constant(
            x.type as "float32",
            [2, 3, turned / 2],
            angles.map(f),
          )
        );
        return rotaryEmbedding(x, cos!, sin!, { heads: 3, interleaved });
      },
    }))
  ),
  Gather: [
    { shapes: [[5, 3]], apply: (x) => gather(x, ids(x, [2, 2], [4, 1, 4, 0])) },
    { shapes: [[5]], apply: (x) => gather(x, ids(x, [3], [4, -1, 0])) },
  ],
  GatherElements: [
    unary((x) => gatherElements(x, ids(x, [3, 2], [4, 1, 0, 0, 2, 3]))),
  ],
  ScatterElements: [{
    shapes: [[2, 5], [2, 3]],
    apply: (x, u) => scatterAdd(x, ids(x, [2, 3], [4, 1, 4, 0, 0, 0]), u, 1),
  }],
  TopK: [unary((x) => topK(x, 2)[0])],
};

for (const op of Object.keys(GRADIENTS) as OpType[]) {
  const cases = CASES[op];
  if (cases === discrete) continue;
  Deno.test(`gradients() of ${op} matches central differences`, async () => {
    for (const [i, example] of cases.entries()) {
      await checkGradient(example, `${op} case ${i}`);
    }
  });
}

/** In f64 where onnxruntime has the kernels, else in f32. */
async function checkGradient(example: Case, name: string): Promise<void> {
  try {
    await compare(example, "float64", name);
  } catch (error) {
    if (
      !/find an implementation|Type Error/.test(
        String(error),
      )
    ) {
      throw error;
    }
    await compare(example, "float32", name);
  }
}

async function compare(
  { shapes, apply, map = (x) => x }: Case,
  type: "float64" | "float32",
  name: string,
): Promise<void> {
  const tape = new Tape();
  const inputs = shapes.map((shape, i) => tape.input(`x${i}`, type, shape));
  const y = apply(...inputs);
  const dy = tape.input("dy", type, y.shape);
  tape.output(y, "y");
  gradients([{ value: y, gradient: dy }], inputs)
    .forEach((dx, i) => {
      assert.deepEqual(dx.shape, inputs[i]!.shape);
      tape.output(dx, `dx${i}`);
    });
  await using session = await createSession(encodeModel(tape.model()));

  const random = randomNormal(7);
  const draw = (shape: readonly unknown[]) =>
    Array.from({ length: size(shape) }, random);
  const xs = shapes.map((shape) => draw(shape).map(map));
  const directions = shapes.map(draw);
  const weights = draw(y.shape);
  const tensor = (shape: readonly unknown[], data: number[]): Tensor => ({
    type,
    dims: shape as number[],
    data: type === "float64"
      ? Float64Array.from(data)
      : Float32Array.from(data),
  });
  const run = (step: number) =>
    session.run({
      dy: tensor(y.shape, weights),
      ...Object.fromEntries(
        xs.map((x, i) => [
          `x${i}`,
          tensor(shapes[i]!, x.map((x, j) => x + step * directions[i]![j]!)),
        ]),
      ),
    });

  // Cast goes through f32 in either case.
  const isExact = type === "float64" && !name.startsWith("Cast");
  const step = isExact ? 1e-6 : 1e-2;
  const above = dot((await run(step)).y!, weights);
  const below = dot((await run(-step)).y!, weights);
  const results = await run(0);
  const slope = shapes.reduce(
    (sum, _, i) => sum + dot(results[`dx${i}`]!, directions[i]!),
    0,
  );
  const difference = (above - below) / (2 * step);
  // f64: truncation step² and round-off 1e-16/step; f32: 1e-4 and 1e-7/1e-2.
  const tolerance = isExact ? 1e-7 : 1e-2;
  const scale = Math.max(Math.abs(slope), Math.hypot(...weights));
  assert.ok(
    Math.abs(difference - slope) <= tolerance * scale,
    `${name} in ${type}: slope ${slope}, central difference ${difference}`,
  );
}

function size(shape: readonly unknown[]): number {
  return shape.reduce((product: number, dim) => product * Number(dim), 1);
}

function dot({ data }: Tensor, weights: readonly number[]): number {
  return weights.reduce((sum, weight, i) => sum + weight * Number(data[i]), 0);
}

function randomNormal(seed: number): () => number {
  const uniform = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return (seed + 0.5) / 2 ** 32;
  };
  return () =>
    Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

Deno.test("gradients() add the rows and products of a tied table to a sum in place", async () => {
  const table = float32([4, 2], (i) => Math.sin(i));
  const feeds = {
    table,
    x: float32([3, 2], (i) => Math.cos(i)),
    seed: float32([3, 4], (i) => i % 5 - 2),
  };
  const run = async (sum?: Tensor) => {
    const tape = new Tape();
    const [table, x, seed] = Object.entries(feeds).map(([name, { dims }]) =>
      tape.input(name, "float32", dims)
    );
    const rows = gather(table!, ids(table!, [3], [1, 3, 1]));
    const y = gemm(ew.add(x!, rows), table!, { transB: true });
    const seeds = [{ value: y, gradient: seed! }];
    if (sum) {
      const gradient = tape.input("sum", "float32", sum.dims);
      seeds.unshift({ value: table!, gradient });
    }
    tape.output(gradients(seeds, [table!])[0]!, "found");
    await using session = await createSession(encodeModel(tape.model()));
    const { found } = await session.run(
      { ...feeds, ...sum && { sum } },
      { found: sum ?? null },
    );
    return found!.data as Float32Array;
  };
  const sum = float32([4, 2], (i) => 10 * i);
  const expected = (await run()).map((x, i) => x + 10 * i);
  assert.equal(await run(sum), sum.data);
  // f32 at about 70, added in another order.
  (sum.data as Float32Array).forEach((x, i) =>
    assert.ok(Math.abs(x - expected[i]!) < 2e-5)
  );
});

function float32(dims: number[], entry: (i: number) => number): Tensor {
  const data = Float32Array.from({ length: size(dims) }, (_, i) => entry(i));
  return { type: "float32", dims, data };
}
