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

/** Numbers of a vector. */
const LANES = 4;

/** Bytes of a page of memory, and how many a memory has at most. */
const PAGE = 65_536;
const MAX_PAGES = 65_536;

/**
 * Apply one AdamW update with WebAssembly SIMD, in place.
 *
 * Arrays of {@linkcode allocateAdamw} are updated where they are; others pass
 * through a small memory chunk by chunk, at twice the cost. Same input, same
 * bits: no order depends on timing, and no result on where an array lives.
 *
 * @param arrays The weight, its gradient and moments.
 * @param options See {@linkcode AdamwOptions}.
 * @throws {RangeError} If the arrays differ in length or `step` is below 1.
 */
export function adamw(arrays: AdamwArrays, options: AdamwOptions): void {
  checkUpdate(arrays, options);
  const constants = updateConstants(options);
  const { param, grad, m, v } = arrays;
  const home = homeOf(param);
  const isTogether = [grad, m, v].every((one) => one.buffer === param.buffer);
  const whole = home && isTogether ? wholeVectors(param) : 0;
  home?.update(...offsets(arrays), whole * 4, ...constants);
  for (let first = whole; first < param.length; first += CHUNK) {
    const chunk = sliceOf(arrays, first, first + CHUNK);
    updateStaged(chunk, constants);
  }
}

/**
 * Allocate the arrays of weights where {@linkcode adamw} needs no copies, those of
 * a kind side by side.
 *
 * @param lengths How many numbers each weight has.
 * @returns The arrays of each weight, all zeros; those of a weight beyond 2²⁸
 * numbers are ordinary ones.
 */
export function allocateAdamw(lengths: readonly number[]): AdamwArrays[] {
  const all: AdamwArrays[] = [];
  let batch: number[] = [];
  let bytes = 0;
  const allocate = () => {
    if (batch.length > 0) all.push(...allocateTogether(batch, bytes));
    [batch, bytes] = [[], 0];
  };
  for (const length of lengths) {
    const needed = 4 * paddedBytes(length);
    if (bytes + needed > MAX_PAGES * PAGE) allocate();
    batch.push(length);
    bytes += needed;
  }
  allocate();
  return all;
}

/**
 * Sum the squares of an array with WebAssembly SIMD, accumulated in f64.
 *
 * @param values The array; the global norm of gradients is the square root of
 * the sum of theirs.
 * @returns Σ x², equal to {@linkcode sumSquaresCpu}'s within f64 rounding.
 */
export function sumSquares(values: Float32Array): number {
  const home = homeOf(values);
  const whole = home ? wholeVectors(values) : 0;
  let sum = home?.squares(values.byteOffset, whole * 4) ?? 0;
  const { arrays: { param: staged }, instance } = staging();
  for (let first = whole; first < values.length; first += CHUNK) {
    const chunk = values.subarray(first, first + CHUNK);
    staged.set(chunk);
    staged.fill(0, chunk.length, chunk.length + LANES - 1);
    sum += instance.squares(staged.byteOffset, chunk.length * 4);
  }
  return sum;
}

/** A memory and the functions that work in it. */
interface Instance {
  memory: WebAssembly.Memory;
  /** Addresses of param, grad, m, v; bytes; constants. */
  update: (...numbers: number[]) => void;
  /** An address and bytes. */
  squares: (address: number, bytes: number) => number;
}

const homes = new WeakMap<ArrayBufferLike, Instance>();

function homeOf({ buffer }: Float32Array): Instance | undefined {
  return homes.get(buffer);
}

function instantiate(bytes: number): Instance {
  const pages = Math.max(1, Math.ceil(bytes / PAGE));
  const code = wasmModule([updateFunction(), squaresFunction()], pages);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code));
  const instance = exports as unknown as Instance;
  homes.set(instance.memory.buffer, instance);
  return instance;
}

function allocateTogether(
  lengths: readonly number[],
  bytes: number,
): AdamwArrays[] {
  const isOrdinary = bytes > MAX_PAGES * PAGE;
  const buffer = isOrdinary ? undefined : instantiate(bytes).memory.buffer;
  let end = 0;
  const allocate = (length: number) => {
    if (!buffer) return new Float32Array(length);
    const array = new Float32Array(buffer, end, length);
    end += paddedBytes(length);
    return array;
  };
  const [param, grad, m, v] = Array.from(
    { length: 4 },
    () => lengths.map(allocate),
  ) as [Float32Array[], Float32Array[], Float32Array[], Float32Array[]];
  return lengths.map((_, i) => ({
    param: param[i]!,
    grad: grad[i]!,
    m: m[i]!,
    v: v[i]!,
  }));
}

function paddedBytes(length: number): number {
  return Math.ceil(length / LANES) * LANES * 4;
}

interface Staging {
  arrays: AdamwArrays;
  instance: Instance;
}

let loaded: Staging | undefined;

function staging(): Staging {
  if (loaded) return loaded;
  const [arrays] = allocateAdamw([CHUNK]);
  loaded = { arrays: arrays!, instance: homeOf(arrays!.param)! };
  return loaded;
}

function updateStaged(arrays: AdamwArrays, constants: readonly number[]) {
  const { arrays: staged, instance } = staging();
  const { length } = arrays.param;
  for (const name of NAMES) staged[name].set(arrays[name]);
  instance.update(...offsets(staged), length * 4, ...constants);
  for (const name of ["param", "m", "v"] as const) {
    arrays[name].set(staged[name].subarray(0, length));
  }
}

/** In the order of the parameters of the update. */
const NAMES = ["param", "grad", "m", "v"] as const;

function offsets(arrays: AdamwArrays): number[] {
  return NAMES.map((name) => arrays[name].byteOffset);
}

function sliceOf(arrays: AdamwArrays, first: number, last: number) {
  const { param, grad, m, v } = arrays;
  return {
    param: param.subarray(first, last),
    grad: grad.subarray(first, last),
    m: m.subarray(first, last),
    v: v.subarray(first, last),
  };
}

/** The last few numbers are staged: a vector would reach beyond the array. */
function wholeVectors({ length }: Float32Array): number {
  return length - length % LANES;
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

/** `update(param, grad, m, v, bytes, …constants)`: one AdamW update. */
function updateFunction(): WasmFunction {
  const at = { param: 0, grad: 1, m: 2, v: 3 } as const;
  const [bytes, scale, beta1, rest1, beta2] = [4, 5, 6, 7, 8] as const;
  const [rest2, inverse, epsilon, rate, decay] = [9, 10, 11, 12, 13] as const;
  const [i, g, m, v, p] = [14, 15, 16, 17, 18] as const;
  const get = op.get;
  const constant = (local: number): Code => [get(local), op.splat];
  const address = (array: number): Code => [get(i), get(array), op.i32Add];
  const read = (array: number): Code => [address(array), op.load(0)];
  const write = (array: number, value: Code): Code => [
    address(array),
    value,
    op.store(0),
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
    params: [...Array(5).fill(type.i32), ...Array(9).fill(type.f32)],
    results: [],
    locals: [type.i32, type.v128, type.v128, type.v128, type.v128],
    body: forEachVector(i, bytes, body),
  };
}

/** `squares(address, bytes)`: Σ x². */
function squaresFunction(): WasmFunction {
  const [address, bytes, i, x, sum] = [0, 1, 2, 3, 4] as const;
  const { get, set } = op;
  const addSquare: Code = [
    set(x),
    [get(sum), get(x), get(x), op.f64x2Mul, op.f64x2Add],
    set(sum),
  ];
  const read: Code = [get(i), get(address), op.i32Add, op.load(0)];
  const body: Code = [
    [read, op.promoteLow, addSquare],
    [read, read],
    [op.highHalf, op.promoteLow, addSquare],
  ];
  return {
    name: "squares",
    params: [type.i32, type.i32],
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
