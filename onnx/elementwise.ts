import { type Dim, TENSOR_TYPES, type TensorType } from "./model.ts";
import type { Operations, OpType, Value } from "./tape.ts";

/** An operand: a number takes the type of the value beside it. */
export type Operand = Value | number;

/** A function of one tensor that keeps its shape. */
export type UnaryFunction = (x: Value) => Value;
/** A function of two operands, one of them a value, that broadcasts. */
export type BinaryFunction = (a: Operand, b: Operand) => Value;

/** Operations of one operand and no attributes that keep type and shape. */
type Unary =
  | "Neg"
  | "Reciprocal"
  | "Sqrt"
  | "Exp"
  | "Log"
  | "Sin"
  | "Cos"
  | "Tanh"
  | "Erf"
  | "Sigmoid"
  | "Relu"
  | "Round";
/** Operations of two operands that keep their type. */
type Binary = "Add" | "Sub" | "Mul" | "Div" | "And";
/** Operations of two operands that give a truth. */
type Comparison = "Equal" | "Less" | "LessOrEqual";

/**
 * A scalar of the type of a value.
 *
 * @param like Whose type, and whose tape.
 * @param entry The number.
 * @returns A constant of shape `[]`.
 */
export function scalar(like: Value, entry: number): Value {
  return like.tape.constant(like.type as "float32", [], [entry]);
}

/**
 * The shape two shapes broadcast to.
 *
 * @param a One shape.
 * @param b The other.
 * @returns Their common shape.
 * @throws {RangeError} If sizes differ and neither is 1.
 */
export function broadcast(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new RangeError(`Cannot broadcast [${a}] with [${b}]`);
    }
    return left === 1 ? right : left;
  });
}

function unary(op: Unary): UnaryFunction {
  return (x) => x.tape.record(op, [x], {} as Operations[OpType], [x])[0]!;
}

function binary(op: Binary | Comparison, type?: TensorType): BinaryFunction {
  return (a, b) => {
    const like = typeof a === "number" ? b as Value : a;
    const left = typeof a === "number" ? scalar(like, a) : a;
    const right = typeof b === "number" ? scalar(like, b) : b;
    return like.tape.record(op, [left, right], {}, [{
      type: type ?? like.type,
      shape: broadcast(left.shape, right.shape),
    }])[0]!;
  };
}

/** a + b */
export const add: BinaryFunction = binary("Add");
/** a − b */
export const sub: BinaryFunction = binary("Sub");
/** a · b */
export const mul: BinaryFunction = binary("Mul");
/** a / b */
export const div: BinaryFunction = binary("Div");
/** a ∧ b */
export const and: BinaryFunction = binary("And");
/** a = b */
export const equal: BinaryFunction = binary("Equal", "bool");
/** a < b */
export const less: BinaryFunction = binary("Less", "bool");
/** a ≤ b */
export const lessOrEqual: BinaryFunction = binary("LessOrEqual", "bool");
/** −x */
export const neg: UnaryFunction = unary("Neg");
/** 1 / x */
export const reciprocal: UnaryFunction = unary("Reciprocal");
/** √x */
export const sqrt: UnaryFunction = unary("Sqrt");
/** eˣ */
export const exp: UnaryFunction = unary("Exp");
/** ln x */
export const log: UnaryFunction = unary("Log");
/** sin x */
export const sin: UnaryFunction = unary("Sin");
/** cos x */
export const cos: UnaryFunction = unary("Cos");
/** tanh x */
export const tanh: UnaryFunction = unary("Tanh");
/** 2/√π ∫₀ˣ e^(−t²) dt */
export const erf: UnaryFunction = unary("Erf");
/** 1 / (1 + e⁻ˣ) */
export const sigmoid: UnaryFunction = unary("Sigmoid");
/** max(x, 0) */
export const relu: UnaryFunction = unary("Relu");
/** The nearest integer, ties to even. */
export const round: UnaryFunction = unary("Round");

/**
 * The Gaussian error linear unit.
 *
 * @param x Any shape.
 * @param approximate "none" for x · Φ(x), "tanh" for its approximation.
 * @returns The same shape.
 */
export function gelu(x: Value, approximate: "none" | "tanh"): Value {
  return x.tape.record("Gelu", [x], { approximate }, [x])[0]!;
}

/**
 * min(max(x, low), high)
 *
 * @param x Any shape.
 * @param low Lower bound.
 * @param high Upper bound.
 * @returns The same shape.
 */
export function clip(x: Value, low: number, high: number): Value {
  const bounds = [scalar(x, low), scalar(x, high)];
  return x.tape.record("Clip", [x, ...bounds], {}, [x])[0]!;
}

/**
 * Convert to another element type; nothing where it has that type.
 *
 * @param x Any shape.
 * @param type The type wanted.
 * @returns The same shape.
 */
export function cast(x: Value, type: TensorType): Value {
  if (x.type === type) return x;
  const attributes = { to: TENSOR_TYPES[type] };
  return x.tape.record("Cast", [x], attributes, [{ type, shape: x.shape }])[0]!;
}

/**
 * condition ? a : b, entry by entry.
 *
 * @param condition Truths.
 * @param a Where true; at least one of a and b is a value.
 * @param b Where false.
 * @returns Their common shape.
 */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const like = typeof a === "number" ? b as Value : a;
  const left = typeof a === "number" ? scalar(like, a) : a;
  const right = typeof b === "number" ? scalar(like, b) : b;
  const shape = broadcast(
    condition.shape,
    broadcast(left.shape, right.shape),
  );
  const output = { type: like.type, shape };
  return condition.tape.record("Where", [condition, left, right], {}, [output])[
    0
  ]!;
}
