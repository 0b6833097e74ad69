import type { Dim } from "./model.ts";
import type { Operations, Value } from "./tape.ts";
import { broadcast } from "./elementwise.ts";

/** How {@linkcode gemm} reads its operands. */
export interface GemmOptions {
  /** Read a as its transpose. */
  transA?: boolean;
  /** Read b as its transpose. */
  transB?: boolean;
  /** Factor of the product. */
  alpha?: number;
  /** Added to every row, `[N]`, or to the product, `[M, N]`. */
  bias?: Value | undefined;
}

/**
 * Product of two matrices, alpha · a b + bias.
 *
 * @param a `[M, K]`, or `[K, M]` if transposed.
 * @param b `[K, N]`, or `[N, K]` if transposed.
 * @param options See {@linkcode GemmOptions}.
 * @returns `[M, N]`.
 * @throws {RangeError} If the sizes do not fit.
 */
export function gemm(a: Value, b: Value, options: GemmOptions = {}): Value {
  const transA = options.transA ? 1 : 0;
  const transB = options.transB ? 1 : 0;
  if (a.shape[1 - transA] !== b.shape[transB]) {
    throw new RangeError(
      `Cannot multiply ${a.name} [${a.shape}] by ${b.name} [${b.shape}] with ` +
        `transA ${transA} and transB ${transB}`,
    );
  }
  const alpha = { float: options.alpha ?? 1 };
  const shape = [a.shape[transA]!, b.shape[1 - transB]!];
  const inputs = options.bias ? [a, b, options.bias] : [a, b];
  return a.tape.record("Gemm", inputs, { transA, transB, alpha }, [
    { type: a.type, shape },
  ])[0]!;
}

/**
 * Products of stacks of matrices.
 *
 * @param a `[…, M, K]`.
 * @param b `[…, K, N]`; leading axes broadcast.
 * @returns `[…, M, N]`.
 */
export function matmul(a: Value, b: Value): Value {
  const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const shape = [...batch, a.shape.at(-2)!, b.shape.at(-1)!];
  return a.tape.record("MatMul", [a, b], {}, [{ type: a.type, shape }])[0]!;
}

/** A function of a tensor and the axes it goes over. */
export type Reduction = (x: Value, axes: readonly number[]) => Value;

function reduction(op: "ReduceSum" | "ReduceMean" | "ReduceMax"): Reduction {
  return (x, axes) => {
    if (axes.length === 0) return x;
    const inputs = [x, x.tape.constant("int64", [axes.length], axes)];
    const reduced = new Set(
      axes.map((axis) => (axis + x.shape.length) % x.shape.length),
    );
    const shape = x.shape.map((dim, axis): Dim => reduced.has(axis) ? 1 : dim);
    return x.tape.record(op, inputs, { keepdims: 1 }, [{
      type: x.type,
      shape,
    }])[0]!;
  };
}

/** Sum over axes, each kept with size 1. */
export const reduceSum: Reduction = reduction("ReduceSum");
/** Mean over axes, each kept with size 1. */
export const reduceMean: Reduction = reduction("ReduceMean");
/** Maximum over axes, each kept with size 1. */
export const reduceMax: Reduction = reduction("ReduceMax");

/**
 * eˣ / Σ eˣ over the last axis.
 *
 * @param x Logits.
 * @returns Probabilities.
 */
export function softmax(x: Value): Value {
  return x.tape.record("Softmax", [x], { axis: -1 }, [x])[0]!;
}

/**
 * (x − mean) / √(variance + epsilon) · weight + bias over the last axis.
 *
 * @param x `[…, D]`.
 * @param weight `[D]`.
 * @param epsilon Added to the variance.
 * @param bias `[D]`.
 * @returns `[…, D]`.
 */
export function layerNorm(
  x: Value,
  weight: Value,
  epsilon: number,
  bias?: Value,
): Value {
  const attributes = { axis: -1, epsilon: { float: epsilon } } as const;
  const inputs = bias ? [x, weight, bias] : [x, weight];
  return x.tape.record("LayerNormalization", inputs, attributes, [x])[0]!;
}

/**
 * x / √(mean x² + epsilon) · weight over the last axis.
 *
 * @param x `[…, D]`.
 * @param weight `[D]`.
 * @param epsilon Added to the mean square.
 * @returns `[…, D]`.
 */
export function rmsNorm(x: Value, weight: Value, epsilon: number): Value {
  const attributes = { axis: -1, epsilon: { float: epsilon } } as const;
  return x.tape.record("RMSNormalization", [x, weight], attributes, [x])[0]!;
}

/**
 * Turn pairs of features by angles: (x₁, x₂) becomes (x₁ cos − x₂ sin,
 * x₂ cos + x₁ sin).
 *
 * @param x `[B, T, H · D]`.
 * @param cos `[B, T, R / 2]`, R the number of features turned, the first of a head.
 * @param sin `[B, T, R / 2]`.
 * @param options Heads H, and whether pairs are neighbours instead of halves.
 * @returns `[B, T, H · D]`.
 */
export function rotaryEmbedding(
  x: Value,
  cos: Value,
  sin: Value,
  options: { heads: number; interleaved?: boolean },
): Value {
  const attributes: Operations["RotaryEmbedding"] = {
    num_heads: options.heads,
    rotary_embedding_dim: 2 * Number(cos.shape[2]),
    interleaved: options.interleaved ? 1 : 0,
  };
  return x.tape.record("RotaryEmbedding", [x, cos, sin], attributes, [x])[0]!;
}

/**
 * The k largest of the last axis, descending; of equal ones the first.
 *
 * @param x `[…, V]`.
 * @param k How many.
 * @returns Values and int64 indices, `[…, k]`.
 */
export function topK(x: Value, k: number): [values: Value, indices: Value] {
  const shape = x.shape.with(-1, k);
  const inputs = [x, x.tape.constant("int64", [1], [k])];
  const [values, indices] = x.tape.record("TopK", inputs, { axis: -1 }, [
    { type: x.type, shape },
    { type: "int64", shape },
  ]);
  return [values!, indices!];
}
