import {
  add,
  cast,
  cos,
  gather,
  gelu,
  gemm,
  layerNorm,
  matmul,
  mul,
  relu,
  reshape,
  rotaryEmbedding,
  round,
  sigmoid,
  sin,
  softmax,
  sub,
  tanh,
  transpose,
  transposeLast,
  type Value,
} from "#/onnx/mod.ts";
import { cutTiles, joinTiles, type Tile } from "./tiles.ts";
import type { Trace, WeightKind } from "./trace.ts";

/** Activation functions by the names that config.json gives them. */
export const ACTIVATIONS = {
  silu: (x: Value) => mul(x, sigmoid(x)),
  swish: (x: Value) => mul(x, sigmoid(x)),
  gelu: (x: Value) => gelu(x, "none"),
  gelu_new: (x: Value) => gelu(x, "tanh"),
  gelu_fast: (x: Value) => gelu(x, "tanh"),
  gelu_pytorch_tanh: (x: Value) => gelu(x, "tanh"),
  quick_gelu: (x: Value) => mul(x, sigmoid(mul(x, 1.702))),
  relu: (x: Value) => relu(x),
  tanh: (x: Value) => tanh(x),
  sigmoid: (x: Value) => sigmoid(x),
} satisfies Record<string, (x: Value) => Value>;

/** An activation's name. */
export type Activation = keyof typeof ACTIVATIONS;

/** Names of all activations. */
export const ACTIVATION_NAMES = Object.keys(ACTIVATIONS) as Activation[];

/**
 * Rows of an embedding table.
 *
 * @param trace The pass.
 * @param name The table's name.
 * @param shape `[V, D]`.
 * @param ids int64 `[N]`.
 * @returns `[N, D]`.
 */
export function embedding(
  trace: Trace,
  name: string,
  shape: readonly [number, number],
  ids: Value,
): Value {
  return trace.fromStored(gather(trace.storedWeight(name, shape), ids));
}

/** What {@linkcode linear} needs to know. */
export interface LinearOptions {
  /** Features in and out. */
  size: readonly [number, number];
  /** Whether `name.bias` is added. */
  bias: boolean;
  /** How the weight starts. */
  kind?: WeightKind;
  /** Whether the weight is stored `[in, out]` (GPT-2's Conv1D), not `[out, in]`. */
  isTransposed?: boolean;
}

/**
 * x Wᵀ + b.
 *
 * @param trace The pass.
 * @param x `[N, in]`.
 * @param name Prefix of `.weight` and `.bias`.
 * @param options See {@linkcode LinearOptions}.
 * @returns `[N, out]`.
 */
export function linear(
  trace: Trace,
  x: Value,
  name: string,
  { size: [input, output], bias, kind, isTransposed = false }: LinearOptions,
): Value {
  const shape = isTransposed ? [input, output] : [output, input];
  return gemm(x, trace.weight(`${name}.weight`, shape, kind), {
    transB: !isTransposed,
    bias: bias ? trace.weight(`${name}.bias`, [output], "zeros") : undefined,
  });
}

/**
 * Layer normalization by `name.weight` and `name.bias`.
 *
 * @param trace The pass.
 * @param x `[N, D]`.
 * @param name Prefix of the weights.
 * @param options D, epsilon, and whether there is a bias.
 * @returns `[N, D]`.
 */
export function normalize(
  trace: Trace,
  x: Value,
  name: string,
  options: { size: number; epsilon: number; bias: boolean },
): Value {
  const weight = trace.weight(`${name}.weight`, [options.size], "ones");
  const bias = options.bias
    ? trace.weight(`${name}.bias`, [options.size], "zeros")
    : undefined;
  return layerNorm(x, weight, options.epsilon, bias);
}

/**
 * Rotary position embedding.
 *
 * @param trace The pass.
 * @param x `[N, H · D]`.
 * @param heads H.
 * @param frequencies Angle per position of each pair, R / 2 of them; the first R
 * features of a head are turned.
 * @returns `[N, H · D]`.
 */
export function rotate(
  trace: Trace,
  x: Value,
  heads: number,
  frequencies: readonly number[],
): Value {
  const angles = trace.tape.once(
    `angles ${frequencies}`,
    () => rotaryAngles(trace, frequencies),
  );
  const turn = (f: typeof cos, name: string) =>
    trace.tape.once(
      `${name} ${angles.name}`,
      () => trace.toArithmetic(f(angles)),
    );
  const features = x.shape[1]!;
  const stacked = reshape(x, ["B", "T", features]);
  const turned = rotaryEmbedding(stacked, turn(cos, "cos"), turn(sin, "sin"), {
    heads,
  });
  return reshape(turned, ["N", features]);
}

/**
 * Position times frequency, brought into [−π, π]: the sine of a large angle is
 * inaccurate on GPUs. 2π is subtracted in two parts, the first exact in few bits.
 */
function rotaryAngles(trace: Trace, frequencies: readonly number[]): Value {
  const pairs = frequencies.length;
  const inverse = trace.tape.constant("float32", [pairs], frequencies);
  const positions = reshape(cast(trace.positions, "float32"), ["B", "T", 1]);
  const angles = mul(positions, inverse);
  const turns = round(mul(angles, 1 / (2 * Math.PI)));
  const coarse = 6.28125;
  const fine = 2 * Math.PI - coarse;
  return sub(sub(angles, mul(turns, coarse)), mul(turns, fine));
}

/** What {@linkcode attention} needs to know. */
export interface AttentionOptions {
  /** Index of the layer, for the cache. */
  layer: number;
  /** Query heads H. */
  heads: number;
  /** Key and value heads KV, a divisor of H. */
  kvHeads: number;
  /** Features of a head D. */
  headDim: number;
  /** Factor of the scores. */
  scale: number;
  /** Added to a tile's scores `[B, KV, H / KV, t, s]`: the mask, and what else there is. */
  bias: (tile: Tile) => Value;
}

/**
 * softmax(scale · Q Kᵀ + bias) V for every head.
 *
 * Query head h reads key head ⌊h KV / H⌋. Keys are not repeated: the queries of a
 * group are stacked instead. Queries go tile by tile, each with the keys up to its
 * end, as later ones are masked anyway.
 *
 * @param trace The pass.
 * @param queries `[N, H · D]`.
 * @param fresh Keys and values, `[N, KV · D]`.
 * @param options See {@linkcode AttentionOptions}.
 * @returns `[N, H · D]`.
 */
export function attention(
  trace: Trace,
  queries: Value,
  fresh: { keys: Value; values: Value },
  options: AttentionOptions,
): Value {
  const { layer, heads, kvHeads, headDim, scale } = options;
  const toHeads = (x: Value, count: number) =>
    transpose(reshape(x, ["B", "T", count, headDim]), [0, 2, 1, 3]);

  const all = trace.extend(layer, {
    keys: cast(toHeads(fresh.keys, kvHeads), "float32"),
    values: cast(toHeads(fresh.values, kvHeads), "float32"),
  });
  const [q, k, v] = [
    toHeads(mul(queries, scale), heads),
    trace.toArithmetic(all.keys),
    trace.toArithmetic(all.values),
  ].map((x) => cutTiles(x, 2, trace.tiles.length));
  const mixed = trace.tiles.map((tile) =>
    attendTile(trace, {
      queries: q![tile.index]!,
      keys: joinTiles(k!, 2, tile),
      values: joinTiles(v!, 2, tile),
      bias: options.bias(tile),
    })
  );
  const joined = joinTiles(mixed, 2, trace.tiles.at(-1)!);
  return reshape(transpose(joined, [0, 2, 1, 3]), ["N", heads * headDim]);
}

/** Attention of queries `[B, H, t, D]` to keys and values `[B, KV, s, D]`. */
function attendTile(
  trace: Trace,
  { queries, keys, values, bias }: Record<
    "queries" | "keys" | "values" | "bias",
    Value
  >,
): Value {
  const [, heads, length, headDim] = queries.shape;
  const [, kvHeads, span] = keys.shape;
  const groups = Number(heads) / Number(kvHeads);
  const rows = groups === 1 ? length! : `${groups}*${length}`;
  const stacked = reshape(queries, ["B", kvHeads!, rows, headDim!]);
  const scores = matmul(stacked, transposeLast(keys));
  const grouped = reshape(scores, ["B", kvHeads!, groups, length!, span!]);
  const probs = softmax(add(cast(grouped, "float32"), bias));
  const mixed = matmul(
    trace.toArithmetic(reshape(probs, scores.shape)),
    values,
  );
  return reshape(mixed, queries.shape);
}
