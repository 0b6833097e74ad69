import type { AdamwArrays, AdamwOptions } from "#/kernels/adamw/adamw_cpu.ts";
import {
  type Code,
  op,
  type,
  type WasmFunction,
  wasmModule,
} from "#/kernels/wasm.ts";

/** Numbers per staged chunk: four arrays of 32 KiB stay in the cache. */
const CHUNK = 8192;
const BYTES = CHUNK * 4;
/** Where each array's chunk lies in the memory. */
const at = { param: 0, grad: BYTES, m: 2 * BYTES, v: 3 * BYTES } as const;

/**
 * Apply one AdamW update with WebAssembly SIMD, in place.
 *
 * The arrays pass through a small memory chunk by chunk, so weights may live
 * in any buffer. Same input, same bits: no order depends on timing.
 *
 * @param arrays The weight, its gradient and moments.
 * @param options See {@linkcode AdamwOptions}.
 * @throws {RangeError} If the arrays differ in length or `step` is below 1.
 */
export function adamw(arrays: AdamwArrays, options: AdamwOptions): void {
  checkUpdate(arrays, options);
  const { param, grad, m, v } = arrays;
  const constants = updateConstants(options);
  const { staged, update } = instance();
  for (let first = 0; first < param.length; first += CHUNK) {
    const last = Math.min(first + CHUNK, param.length);
    const length = last - first;
    staged.param.set(param.subarray(first, last));
    staged.grad.set(grad.subarray(first, last));
    staged.m.set(m.subarray(first, last));
    staged.v.set(v.subarray(first, last));
    update(length * 4, ...constants);
    param.set(staged.param.subarray(0, length), first);
    m.set(staged.m.subarray(0, length), first);
    v.set(staged.v.subarray(0, length), first);
  }
}

/**
 * Sum the squares of an array with WebAssembly SIMD, accumulated in f64.
 *
 * @param values The array; the global norm of gradients is the square root of
 * the sum of theirs.
 * @returns Σ x², equal to {@linkcode sumSquaresCpu}'s within f64 rounding.
 */
export function sumSquares(values: Float32Array): number {
  const { staged, squares } = instance();
  let sum = 0;
  for (let first = 0; first < values.length; first += CHUNK) {
    const last = Math.min(first + CHUNK, values.length);
    staged.param.set(values.subarray(first, last));
    staged.param.fill(0, last - first, last - first + 3);
    sum += squares((last - first) * 4);
  }
  return sum;
}

/** The nine f32 parameters of the loop, after its length. */
function updateConstants(options: AdamwOptions): number[] {
  const { step, learningRate, weightDecay = 0, gradScale = 1 } = options;
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options;
  return [
    gradScale,
    beta1,
    1 - beta1,
    beta2,
    1 - beta2,
    1 / Math.sqrt(1 - beta2 ** step),
    epsilon,
    learningRate / (1 - beta1 ** step),
    learningRate * weightDecay,
  ];
}

interface Instance {
  staged: { [Name in keyof typeof at]: Float32Array };
  update: (bytes: number, ...constants: number[]) => void;
  squares: (bytes: number) => number;
}

let loaded: Instance | undefined;

function instance(): Instance {
  if (loaded) return loaded;
  const bytes = wasmModule([updateFunction(), squaresFunction()], 2);
  const module = new WebAssembly.Module(bytes);
  const { memory, update, squares } = new WebAssembly.Instance(module)
    .exports as unknown as Instance & { memory: WebAssembly.Memory };
  const chunk = (offset: number) =>
    new Float32Array(memory.buffer, offset, CHUNK);
  loaded = {
    staged: {
      param: chunk(at.param),
      grad: chunk(at.grad),
      m: chunk(at.m),
      v: chunk(at.v),
    },
    update,
    squares,
  };
  return loaded;
}

/** `update(bytes, …constants)`: one AdamW update of the staged chunk. */
function updateFunction(): WasmFunction {
  const [bytes, scale, beta1, rest1, beta2] = [0, 1, 2, 3, 4] as const;
  const [rest2, inverse, epsilon, rate, decay] = [5, 6, 7, 8, 9] as const;
  const [i, g, m, v, p] = [10, 11, 12, 13, 14] as const;
  const get = op.get;
  const constant = (local: number): Code => [get(local), op.splat];
  const read = (offset: number): Code => [get(i), op.load(offset)];
  const write = (offset: number, value: Code): Code => [
    get(i),
    value,
    op.store(offset),
  ];
  const times = (x: Code, y: Code): Code => [x, y, op.mul];
  const plus = (x: Code, y: Code): Code => [x, y, op.add];

  const direction: Code = [
    times(get(m), constant(rate)),
    plus(times([get(v), op.sqrt], constant(inverse)), constant(epsilon)),
    op.div,
  ];
  const body: Code = [
    [times(read(at.grad), constant(scale)), op.set(g)],
    plus(
      times(read(at.m), constant(beta1)),
      times(get(g), constant(rest1)),
    ),
    op.set(m),
    plus(
      times(read(at.v), constant(beta2)),
      times(times(get(g), get(g)), constant(rest2)),
    ),
    op.set(v),
    [read(at.param), op.set(p)],
    write(at.m, get(m)),
    write(at.v, get(v)),
    write(at.param, [
      get(p),
      plus(times(get(p), constant(decay)), direction),
      op.sub,
    ]),
  ];
  return {
    name: "update",
    params: [type.i32, ...Array(9).fill(type.f32)],
    results: [],
    locals: [type.i32, type.v128, type.v128, type.v128, type.v128],
    body: forEachVector(i, bytes, body),
  };
}

/** `squares(bytes)`: Σ x² of the first staged chunk. */
function squaresFunction(): WasmFunction {
  const [bytes, i, x, sum] = [0, 1, 2, 3] as const;
  const { get, set } = op;
  const addSquare: Code = [
    set(x),
    [get(sum), get(x), get(x), op.f64x2Mul, op.f64x2Add],
    set(sum),
  ];
  const body: Code = [
    [get(i), op.load(at.param), op.promoteLow, addSquare],
    [get(i), op.load(at.param), get(i), op.load(at.param)],
    [op.highHalf, op.promoteLow, addSquare],
  ];
  return {
    name: "squares",
    params: [type.i32],
    results: [type.f64],
    locals: [type.i32, type.v128, type.v128],
    body: [
      forEachVector(i, bytes, body),
      [get(sum), op.f64x2Lane(0), get(sum), op.f64x2Lane(1), op.f64Add],
    ],
  };
}

/** Local `i` runs over byte offsets 0, 16, … below local `bytes`. */
function forEachVector(i: number, bytes: number, body: Code): Code {
  return op.while([op.get(i), op.get(bytes), op.i32LtU], [
    body,
    [op.get(i), op.i32(16), op.i32Add, op.set(i)],
  ]);
}

function checkUpdate(
  { param, grad, m, v }: AdamwArrays,
  { step }: AdamwOptions,
): void {
  if (new Set([param, grad, m, v].map(({ length }) => length)).size > 1) {
    throw new RangeError(
      `Cannot update weights: param, grad, m and v have ${param.length}, ` +
        `${grad.length}, ${m.length} and ${v.length} entries, expected one length`,
    );
  }
  if (!(step >= 1)) {
    throw new RangeError(
      `Cannot update weights: step is ${step}, expected 1 or more`,
    );
  }
}
