import type { Dim } from "./model.ts";
import type { Tape, Value } from "./tape.ts";
import { broadcast } from "./elementwise.ts";

/**
 * A shape as a tensor, its symbols read when the graph runs.
 *
 * @param tape The graph.
 * @param shape Sizes.
 * @returns int64 `[rank]`.
 */
export function shapeTensor(tape: Tape, shape: readonly Dim[]): Value {
  if (shape.every((dim) => typeof dim === "number")) {
    return tape.constant("int64", [shape.length], shape);
  }
  return tape.once(`shape ${shape}`, () => {
    if (shape.length === 1) return tape.size(shape[0]!);
    return concat(shape.map((dim) => tape.size(dim)), 0);
  });
}

/**
 * The same elements, row-major, in another shape.
 *
 * @param x Any shape.
 * @param shape The new one; at most one of its symbols may be new.
 * @returns Of that shape.
 */
export function reshape(x: Value, shape: readonly Dim[]): Value {
  if (String(shape) === String(x.shape)) return x;
  const inputs = [x, shapeTensor(x.tape, reshapeTarget(x, shape))];
  return x.tape.record("Reshape", inputs, {}, [{ type: x.type, shape }])[0]!;
}

/** ONNX's 0 keeps an axis, one -1 is left to the runtime: sizes then need not be read. */
function reshapeTarget(x: Value, shape: readonly Dim[]): Dim[] {
  const target = shape.map((dim, axis) =>
    typeof dim === "string" && dim === x.shape[axis] ? 0 : dim
  );
  const symbols = target.filter((dim) => typeof dim === "string");
  const inferred = symbols.find((dim) => !x.tape.hasSize(dim)) ??
    (symbols.length === 1 ? symbols[0] : undefined);
  return target.map((dim) => dim === inferred ? -1 : dim);
}

/**
 * Permute axes.
 *
 * @param x Any shape.
 * @param perm Which axis of x becomes each axis of the result.
 * @returns The permuted tensor.
 */
export function transpose(x: Value, perm: readonly number[]): Value {
  const shape = perm.map((axis) => x.shape[axis]!);
  return x.tape.record("Transpose", [x], { perm }, [{ type: x.type, shape }])[
    0
  ]!;
}

/**
 * Exchange the last two axes.
 *
 * @param x `[…, M, N]`.
 * @returns `[…, N, M]`.
 */
export function transposeLast(x: Value): Value {
  const axes = x.shape.map((_, axis) => axis);
  const [m, n] = axes.splice(-2);
  return transpose(x, [...axes, n!, m!]);
}

/**
 * Broadcast to a shape.
 *
 * @param x A shape that broadcasts to it.
 * @param shape The shape wanted.
 * @returns Of that shape.
 */
export function expand(x: Value, shape: readonly Dim[]): Value {
  if (String(shape) === String(x.shape)) return x;
  const inputs = [x, shapeTensor(x.tape, shape)];
  const output = { type: x.type, shape: broadcast(x.shape, shape) };
  return x.tape.record("Expand", inputs, {}, [output])[0]!;
}

/**
 * Join along an axis.
 *
 * @param parts Tensors that differ in that axis only.
 * @param axis Which.
 * @param dim The joined size; the sum by default, where all are known.
 * @returns The joined tensor.
 */
export function concat(
  parts: readonly Value[],
  axis: number,
  dim?: Dim,
): Value {
  const first = parts[0]!;
  const total = parts.reduce((sum, { shape }) => sum + Number(shape[axis]), 0);
  const shape = first.shape.with(axis, dim ?? total);
  return first.tape.record("Concat", parts, { axis }, [
    { type: first.type, shape },
  ])[0]!;
}

/**
 * Cut along an axis.
 *
 * @param x Any shape.
 * @param axis Which axis.
 * @param sizes Sizes of the parts.
 * @returns The parts.
 */
export function split(
  x: Value,
  axis: number,
  sizes: readonly Dim[],
): Value[] {
  const outputs = sizes.map((size) => ({
    type: x.type,
    shape: x.shape.with(axis, size),
  }));
  const inputs = [x, shapeTensor(x.tape, sizes)];
  return x.tape.record("Split", inputs, { axis }, outputs);
}

/**
 * Cut along an axis into parts that are as large, but for a smaller last one.
 *
 * @param x Any shape.
 * @param axis Which axis.
 * @param sizes What the sizes of the parts are called.
 * @returns The parts.
 */
export function splitEqually(
  x: Value,
  axis: number,
  sizes: readonly Dim[],
): Value[] {
  const outputs = sizes.map((size) => ({
    type: x.type,
    shape: x.shape.with(axis, size),
  }));
  const attributes = { axis, num_outputs: sizes.length };
  return x.tape.record("Split", [x], attributes, outputs);
}

/**
 * Count from zero.
 *
 * @param tape The graph.
 * @param dim How far, exclusive.
 * @param limit Its value, int64 `[1]`, where no tensor has that size yet.
 * @returns 0, 1, … as int64 `[dim]`.
 */
export function range(
  tape: Tape,
  dim: Dim,
  limit: Value = tape.size(dim),
): Value {
  const [start, delta] = [0, 1].map((n) => tape.constant("int64", [], [n]));
  const inputs = [start, reshape(limit, []), delta];
  return tape.record("Range", inputs, {}, [{ type: "int64", shape: [dim] }])[
    0
  ]!;
}

/**
 * Rows of a table.
 *
 * @param table `[V, …]`.
 * @param indices int64, any shape; negative ones count from the end.
 * @returns `[…indices, …]`.
 */
export function gather(table: Value, indices: Value): Value {
  const shape = [...indices.shape, ...table.shape.slice(1)];
  return table.tape.record("Gather", [table, indices], { axis: 0 }, [
    { type: table.type, shape },
  ])[0]!;
}

/**
 * Pick entries along the last axis.
 *
 * @param x `[…, V]`.
 * @param indices int64 `[…, K]`.
 * @returns `[…, K]`.
 */
export function gatherElements(x: Value, indices: Value): Value {
  const output = { type: x.type, shape: indices.shape };
  return x.tape.record("GatherElements", [x, indices], { axis: -1 }, [output])[
    0
  ]!;
}

/**
 * Add updates to some entries. Repeated indices add up (unlike ScatterND's,
 * whose additions race on onnxruntime's CPU threads).
 *
 * @param x `[…]`.
 * @param indices int64, the shape of `updates`.
 * @param updates What to add.
 * @param axis Which axis the indices run along.
 * @returns The shape of x.
 */
export function scatterAdd(
  x: Value,
  indices: Value,
  updates: Value,
  axis: number,
): Value {
  const attributes = { axis, reduction: "add" } as const;
  return x.tape.record("ScatterElements", [x, indices, updates], attributes, [
    x,
  ])[0]!;
}
