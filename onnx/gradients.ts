import type { Dim } from "./model.ts";
import type { Operations, OpType, Recorded, Value } from "./tape.ts";
import * as ew from "./elementwise.ts";
import {
  add,
  cos,
  div,
  exp,
  mul,
  neg,
  reciprocal,
  sin,
  sqrt,
  sub,
  where,
} from "./elementwise.ts";
import {
  concat,
  expand,
  gatherElements,
  reshape,
  scatterAdd,
  split,
  transpose,
  transposeLast,
} from "./layout.ts";
import {
  gemm,
  matmul,
  reduceMean,
  reduceSum,
  rotaryEmbedding,
} from "./linear.ts";

/** An operation to differentiate, which has all its inputs or lacks the last. */
export interface Differentiated<Op extends OpType>
  extends Omit<Recorded<Op>, "inputs"> {
  /** What it read. */
  readonly inputs: readonly Value[];
  /** Its first output. */
  readonly y: Value;
}

/**
 * An operation's vector-Jacobian product: from the gradients of its outputs
 * those of its inputs, recorded as further operations. `undefined` stands for an
 * input it is not differentiated by, such as indices.
 */
export type Gradient<Op extends OpType> = (
  node: Differentiated<Op>,
  dy: Value,
  dys: readonly Value[],
) => readonly (Value | undefined)[];

/** A gradient that is zero wherever it is defined. */
const zero = () => [];

/** How to differentiate every operation: the one table of gradient rules. */
export const GRADIENTS: { readonly [Op in OpType]: Gradient<Op> } = {
  Identity: (_, dy) => [dy],
  Add: ({ inputs: [a, b] }, dy) => [sumTo(dy, a!), sumTo(dy, b!)],
  Sub: ({ inputs: [a, b] }, dy) => [sumTo(dy, a!), sumTo(neg(dy), b!)],
  Mul: ({ inputs: [a, b] }, dy) => [
    sumTo(mul(dy, b!), a!),
    sumTo(mul(dy, a!), b!),
  ],
  Div: ({ inputs: [a, b], y }, dy) => [
    sumTo(div(dy, b!), a!),
    sumTo(neg(div(mul(dy, y), b!)), b!),
  ],
  Neg: (_, dy) => [neg(dy)],
  Reciprocal: ({ y }, dy) => [neg(mul(dy, mul(y, y)))],
  Sqrt: ({ y }, dy) => [div(mul(dy, 0.5), y)],
  Exp: ({ y }, dy) => [mul(dy, y)],
  Log: ({ inputs: [x] }, dy) => [div(dy, x!)],
  Sin: ({ inputs: [x] }, dy) => [mul(dy, cos(x!))],
  Cos: ({ inputs: [x] }, dy) => [neg(mul(dy, sin(x!)))],
  Tanh: ({ y }, dy) => [mul(dy, sub(1, mul(y, y)))],
  Erf: ({ inputs: [x] }, dy) => [
    mul(dy, mul(exp(neg(mul(x!, x!))), 2 / Math.sqrt(Math.PI))),
  ],
  Sigmoid: ({ y }, dy) => [mul(dy, mul(y, sub(1, y)))],
  Relu: ({ y }, dy) => [where(ew.less(zeroLike(y), y), dy, 0)],
  Gelu: ({ inputs: [x], attributes }, dy) => [
    mul(
      dy,
      attributes.approximate === "tanh" ? geluTanhSlope(x!) : geluSlope(x!),
    ),
  ],
  Clip: ({ inputs: [x, low, high] }, dy) => [
    where(ew.and(ew.less(low!, x!), ew.less(x!, high!)), dy, 0),
  ],
  Round: zero,
  Cast: ({ inputs: [x] }, dy) => [ew.cast(dy, x!.type)],
  Where: ({ inputs: [condition, a, b] }, dy) => [
    undefined,
    sumTo(where(condition!, dy, 0), a!),
    sumTo(where(condition!, zeroLike(dy), dy), b!),
  ],
  Equal: zero,
  Less: zero,
  LessOrEqual: zero,
  And: zero,
  Reshape: ({ inputs: [x] }, dy) => [reshape(dy, x!.shape)],
  Transpose: ({ attributes: { perm } }, dy) => [
    transpose(dy, perm.map((_, axis) => perm.indexOf(axis))),
  ],
  Expand: ({ inputs: [x] }, dy) => [sumTo(dy, x!)],
  Concat: ({ inputs, attributes: { axis } }, dy) =>
    split(dy, axis, inputs.map(({ shape }) => shape[axis]!)),
  Split: ({ inputs: [x], attributes: { axis } }, _, dys) => [
    concat(dys, axis, x!.shape[axis]!),
  ],
  Shape: zero,
  Range: zero,
  ReduceSum: ({ inputs: [x] }, dy) => [expand(dy, x!.shape)],
  ReduceMean: ({ inputs: [x], y }, dy) => [
    expand(mul(dy, reciprocal(count(x!, y))), x!.shape),
  ],
  ReduceMax: ({ inputs: [x, axes], y }, dy) => {
    // Equal maxima share the gradient.
    const largest = ew.cast(ew.equal(x!, y), x!.type);
    const ties = x!.tape.record("ReduceSum", [largest, axes], { keepdims: 1 }, [
      y,
    ]);
    return [mul(div(dy, ties[0]!), largest)];
  },
  Gemm: ({ inputs: [a, b, c], attributes }, dy) => {
    const { transA, transB, alpha: { float: alpha } } = attributes;
    const scaled = transA ? undefined : scaledRows(dy, a!);
    if (scaled) {
      const { rows, factor } = scaled;
      return [
        mul(gemm(rows, b!, { transB: !transB, alpha }), factor),
        transB
          ? gemm(rows, mul(a!, factor), { transA: true, alpha })
          : gemm(mul(a!, factor), rows, { transA: true, alpha }),
        c && sumTo(dy, c),
      ];
    }
    const da = transA
      ? gemm(b!, dy, { transA: !!transB, transB: true, alpha })
      : gemm(dy, b!, { transB: !transB, alpha });
    const db = transB
      ? gemm(dy, a!, { transA: true, transB: !!transA, alpha })
      : gemm(a!, dy, { transA: !transA, alpha });
    return [da, db, c && sumTo(dy, c)];
  },
  MatMul: ({ inputs: [a, b] }, dy) => [
    sumTo(matmul(dy, transposeLast(b!)), a!),
    sumTo(matmul(transposeLast(a!), dy), b!),
  ],
  Softmax: ({ y }, dy) => [mul(y, sub(dy, reduceSum(mul(dy, y), [-1])))],
  LayerNormalization: ({ inputs: [x, weight, bias], attributes }, dy) => {
    const centred = sub(x!, reduceMean(x!, [-1]));
    const rstd = inverseRms(centred, attributes.epsilon.float);
    const xhat = mul(centred, rstd);
    const g = mul(dy, weight!);
    const along = mul(xhat, reduceMean(mul(g, xhat), [-1]));
    return [
      mul(rstd, sub(sub(g, reduceMean(g, [-1])), along)),
      sumTo(mul(dy, xhat), weight!),
      bias && sumTo(dy, bias),
    ];
  },
  RMSNormalization: ({ inputs: [x, weight], attributes }, dy) => {
    const rstd = inverseRms(x!, attributes.epsilon.float);
    const xhat = mul(x!, rstd);
    const g = mul(dy, weight!);
    const along = mul(xhat, reduceMean(mul(g, xhat), [-1]));
    return [mul(rstd, sub(g, along)), sumTo(mul(dy, xhat), weight!)];
  },
  RotaryEmbedding: ({ inputs: [, cos, sin], attributes }, dy) => [
    rotaryEmbedding(dy, cos!, neg(sin!), {
      heads: attributes.num_heads,
      interleaved: attributes.interleaved === 1,
    }),
  ],
  Gather: ({ inputs: [table, indices] }, dy) => {
    const rows = symbolOrProduct(indices!.shape);
    const flat = [rows, ...table!.shape.slice(1)];
    const updates = reshape(dy, flat);
    const column = reshape(indices!, flat.map((dim, axis) => axis ? 1 : dim));
    return [scatterAdd(zeros(table!), expand(column, flat), updates, 0)];
  },
  GatherElements: ({ inputs: [x, indices] }, dy) => [
    scatterAdd(zeros(x!), indices!, dy, x!.shape.length - 1),
  ],
  ScatterElements: ({ inputs: [, indices], attributes: { axis }, y }, dy) => {
    if (axis !== y.shape.length - 1) {
      throw new RangeError(
        `Cannot differentiate ScatterElements along axis ${axis} of ` +
          `[${y.shape}], expected the last`,
      );
    }
    return [dy, undefined, gatherElements(dy, indices!)];
  },
  TopK: ({ inputs: [x], outputs: [, indices] }, dy) => [
    scatterAdd(zeros(x!), indices!, dy, x!.shape.length - 1),
  ],
};

/**
 * Record the gradients of Σ ⟨value, gradient⟩, seeds given.
 *
 * @param seeds Values and the gradients by them; of a source, what its gradient
 * is added to.
 * @param sources What to differentiate by.
 * @returns Gradients by the sources, of their shapes.
 * @throws {TypeError} If a rule does not reach a source through some input.
 */
export function gradients(
  seeds: readonly { value: Value; gradient: Value }[],
  sources: readonly Value[],
): Value[] {
  const { tape } = sources[0]!;
  const needed = reached(tape.nodes, sources);
  const found = new Map<string, Value>();
  const accumulate = ({ name }: Value, gradient: Value) => {
    const before = found.get(name);
    found.set(name, before ? addGradient(before, gradient) : gradient);
  };
  for (const { value, gradient } of seeds) accumulate(value, gradient);

  for (const node of tape.nodes.toReversed()) {
    const { op, inputs, outputs } = node;
    if (!outputs.some(({ name }) => needed.has(name) && found.has(name))) {
      continue;
    }
    const dys = outputs.map((y) => found.get(y.name) ?? zeros(y));
    const rule = GRADIENTS[op] as Gradient<OpType>;
    const y = outputs[0]!;
    const dxs = rule({ ...node, inputs: inputs as Value[], y }, dys[0]!, dys);
    inputs.forEach((input, i) => {
      if (!input || !needed.has(input.name) || rule === zero) return;
      if (!dxs[i]) {
        throw new TypeError(`Cannot differentiate ${op} by its input ${i}`);
      }
      accumulate(input, dxs[i]);
    });
  }
  return sources.map((source) => found.get(source.name) ?? zeros(source));
}

/**
 * A sum of gradients, without an array for the second where that would be as large
 * as an embedding: rows are added in place, and products to what the caller has.
 */
function addGradient(sum: Value, more: Value): Value {
  const made = madeBy(more);
  const [a, b, c] = made?.inputs ?? [];
  if (made?.op === "Gemm" && !c && !madeBy(sum)) {
    const { transA, transB, alpha } = made.attributes as Operations["Gemm"];
    return gemm(a!, b!, {
      transA: transA === 1,
      transB: transB === 1,
      alpha: alpha.float,
      bias: sum,
    });
  }
  if (made?.op === "ScatterElements" && isZeros(a!)) {
    const { axis } = made.attributes as Operations["ScatterElements"];
    return scatterAdd(sum, b!, c!, axis);
  }
  return add(sum, more);
}

/** The operation that gave a value; none for inputs and constants. */
function madeBy(x: Value): Recorded | undefined {
  return x.tape.nodes.findLast(({ outputs }) => outputs.includes(x));
}

/** Names of the real values that depend on the sources. */
function reached(
  nodes: readonly Recorded[],
  sources: readonly Value[],
): Set<string> {
  const names = new Set(sources.map(({ name }) => name));
  for (const { inputs, outputs } of nodes) {
    if (!inputs.some((input) => input && names.has(input.name))) continue;
    for (const { name, type } of outputs) {
      if (/float/.test(type)) names.add(name);
    }
  }
  return names;
}

/**
 * What dy is a product of, if that is rows and a factor for each, and they are
 * longer than those of x: then it is cheaper to scale x.
 */
function scaledRows(
  dy: Value,
  x: Value,
): { rows: Value; factor: Value } | undefined {
  const made = dy.tape.nodes.findLast(({ outputs }) => outputs[0] === dy);
  const [rows, factor] = made?.op === "Mul" ? made.inputs : [];
  if (!rows || factor?.shape[1] !== 1 || rows.shape.length !== 2) return;
  const isWider = Number(rows.shape[1]) > Number(x.shape[1]);
  return isWider && factor.shape[0] === rows.shape[0]
    ? { rows, factor }
    : undefined;
}

/** Undo a broadcast: sum over the axes that `like` has not, or has once. */
function sumTo(dy: Value, like: Value): Value {
  const extra = dy.shape.length - like.shape.length;
  const axes = dy.shape.flatMap((dim, axis) =>
    axis < extra || like.shape[axis - extra] === 1 && dim !== 1 ? [axis] : []
  );
  return reshape(reduceSum(dy, axes), like.shape);
}

function zeros(like: Value): Value {
  return expand(ew.scalar(like, 0), like.shape);
}

function isZeros(x: Value): boolean {
  const made = madeBy(x);
  return made?.op === "Expand" && made.inputs[0] === zeroLike(x);
}

function zeroLike(like: Value): Value {
  return ew.scalar(like, 0);
}

/** 1 / √(mean x² + ε): norms give it as a second output, which WebGPU garbles. */
function inverseRms(x: Value, epsilon: number): Value {
  return reciprocal(sqrt(add(reduceMean(mul(x, x), [-1]), epsilon)));
}

/** How many entries of x went into each entry of y, a scalar or `[1]`. */
function count(x: Value, y: Value): Value {
  const dims = x.shape.filter((dim, axis) => dim !== y.shape[axis]);
  return dims.map((dim) => ew.cast(x.tape.size(dim), x.type))
    .reduce((product, size) => mul(product, size), ew.scalar(x, 1));
}

/** One size for a whole shape. */
function symbolOrProduct(shape: readonly Dim[]): Dim {
  if (shape.length === 1) return shape[0]!;
  return shape.every((dim) => typeof dim === "number")
    ? shape.reduce((product, dim) => product * dim, 1)
    : shape.join("*");
}

/** Φ(x) + x φ(x) */
function geluSlope(x: Value): Value {
  const cumulative = mul(add(ew.erf(mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return add(cumulative, mul(x, density));
}

/** The slope of x/2 · (1 + tanh u), u = √(2/π) (x + 0.044715 x³). */
function geluTanhSlope(x: Value): Value {
  const c = Math.sqrt(2 / Math.PI);
  const square = mul(x, x);
  const t = ew.tanh(mul(mul(x, c), add(mul(square, 0.044715), 1)));
  const slope = mul(add(mul(square, 3 * 0.044715), 1), c);
  const bend = mul(mul(x, slope), sub(1, mul(t, t)));
  return mul(add(add(t, 1), bend), 0.5);
}
