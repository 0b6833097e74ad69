import type {
  Attribute,
  Dim,
  ExternalData,
  Initializer,
  OnnxModel,
  OnnxNode,
  TensorType,
  ValueInfo,
} from "./model.ts";

/** No attributes. */
export type None = Record<never, never>;

/** The attributes of every operation a graph may hold, by ONNX's name. */
export interface Operations {
  /** a + b */
  Add: None;
  /** a − b */
  Sub: None;
  /** a · b */
  Mul: None;
  /** a / b */
  Div: None;
  /** −x */
  Neg: None;
  /** 1 / x */
  Reciprocal: None;
  /** √x */
  Sqrt: None;
  /** eˣ */
  Exp: None;
  /** ln x */
  Log: None;
  /** sine */
  Sin: None;
  /** cosine */
  Cos: None;
  /** hyperbolic tangent */
  Tanh: None;
  /** the error function */
  Erf: None;
  /** 1 / (1 + e⁻ˣ) */
  Sigmoid: None;
  /** max(x, 0) */
  Relu: None;
  /** x · Φ(x), exact or by tanh */
  Gelu: { approximate: "none" | "tanh" };
  /** min(max(x, low), high) */
  Clip: None;
  /** nearest integer, ties to even */
  Round: None;
  /** the same value under another name */
  Identity: None;
  /** another element type */
  Cast: { to: number };
  /** condition ? a : b */
  Where: None;
  /** a = b */
  Equal: None;
  /** a < b */
  Less: None;
  /** a ≤ b */
  LessOrEqual: None;
  /** a ∧ b */
  And: None;
  /** another shape of the same elements */
  Reshape: None;
  /** permuted axes */
  Transpose: { perm: readonly number[] };
  /** broadcast to a shape */
  Expand: None;
  /** joined along an axis */
  Concat: { axis: number };
  /** cut along an axis, by sizes or in a number of parts */
  Split: { axis: number; num_outputs?: number };
  /** some sizes of a tensor */
  Shape: { start: number; end: number };
  /** start, start + delta, … below limit */
  Range: None;
  /** sum over axes, kept with size 1 */
  ReduceSum: { keepdims: 1 };
  /** mean over axes, kept with size 1 */
  ReduceMean: { keepdims: 1 };
  /** maximum over axes, kept with size 1 */
  ReduceMax: { keepdims: 1 };
  /** alpha · A′B′ + C on matrices */
  Gemm: { transA: 0 | 1; transB: 0 | 1; alpha: { float: number } };
  /** batched matrix product */
  MatMul: None;
  /** softmax over the last axis */
  Softmax: { axis: -1 };
  /** (x − mean) / std · weight + bias over the last axis */
  LayerNormalization: { axis: -1; epsilon: { float: number } };
  /** x / rms · weight over the last axis */
  RMSNormalization: { axis: -1; epsilon: { float: number } };
  /** pairs of features turned by an angle */
  RotaryEmbedding: {
    num_heads: number;
    rotary_embedding_dim: number;
    interleaved: 0 | 1;
  };
  /** rows of a table */
  Gather: { axis: 0 };
  /** entries picked along the last axis */
  GatherElements: { axis: -1 };
  /** updates added at indices along an axis */
  ScatterElements: { axis: number; reduction: "add" };
  /** the k largest of the last axis, descending, and where they are */
  TopK: { axis: -1 };
}

/** An operation's name. */
export type OpType = keyof Operations;

/** A tensor of the graph under construction. */
export interface Value extends ValueInfo {
  /** The graph it belongs to. */
  readonly tape: Tape;
}

/** One recorded operation. */
export interface Recorded<Op extends OpType = OpType> {
  /** What it does. */
  readonly op: Op;
  /** What it read; `undefined` where an optional input is left out. */
  readonly inputs: readonly (Value | undefined)[];
  /** What it gave. */
  readonly outputs: readonly Value[];
  /** How it did it. */
  readonly attributes: Operations[Op];
}

/** Element types that a constant may have. */
export type ConstantType = Exclude<TensorType, "bfloat16">;

/** The array of an element type's entries. */
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/**
 * Records operations as they are called, and turns them into an ONNX model.
 *
 * Shapes are tracked with symbolic sizes, so a gradient knows what was broadcast
 * and one graph runs on batches of any size.
 */
export class Tape {
  /** Operations in the order they were called. */
  readonly nodes: Recorded[] = [];
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  readonly #initializers = new Map<string, Initializer>();
  readonly #memo = new Map<string, Value>();
  readonly #sizes = new Map<string, { value: Value; axis: number }>();
  #count = 0;

  /**
   * Declare what the caller feeds.
   *
   * @param name Its name.
   * @param type Element type.
   * @param shape Shape; a new symbol may be any size.
   * @returns The input.
   */
  input(name: string, type: TensorType, shape: readonly Dim[]): Value {
    const value = this.#value(name, type, shape);
    this.#inputs.push(value);
    return value;
  }

  /**
   * Declare what the caller may fetch.
   *
   * @param value What.
   * @param name Under which name.
   */
  output(value: Value, name: string): void {
    const [renamed] = this.record("Identity", [value], {}, [value], [
      name,
    ]);
    this.#outputs.push(renamed!);
  }

  /**
   * A tensor that lies in a file.
   *
   * @param name Its name.
   * @param type Its element type in the file.
   * @param shape Its shape.
   * @param data Where it lies.
   * @returns The tensor.
   */
  external(
    name: string,
    type: TensorType,
    shape: readonly number[],
    data: ExternalData,
  ): Value {
    this.#initializers.set(name, { name, type, shape, data });
    return this.#value(name, type, shape);
  }

  /**
   * A constant tensor; equal ones are stored once.
   *
   * @param type Element type.
   * @param shape Shape.
   * @param entries Its entries, row-major.
   * @returns The constant.
   */
  constant(
    type: ConstantType,
    shape: readonly number[],
    entries: ArrayLike<number>,
  ): Value {
    const data = encodeEntries(type, entries);
    return this.once(`constant ${type} [${shape}] ${data.join()}`, () => {
      const name = this.#name("constant");
      this.#initializers.set(name, { name, type, shape, data });
      return this.#value(name, type, shape);
    });
  }

  /**
   * Make a value the first time it is asked for.
   *
   * @param key Names the value.
   * @param make Records it.
   * @returns The value.
   */
  once(key: string, make: () => Value): Value {
    let value = this.#memo.get(key);
    if (!value) this.#memo.set(key, value = make());
    return value;
  }

  /**
   * Whether some value has a size, so that {@linkcode Tape.size} can read it.
   *
   * @param symbol Its name.
   * @returns False for a symbol never seen.
   */
  hasSize(symbol: string): boolean {
    return this.#sizes.has(symbol);
  }

  /**
   * A size, read when the graph runs.
   *
   * @param dim A number or a symbol that some value's shape holds.
   * @returns The size, int64 `[1]`.
   * @throws {RangeError} If no value has such a size.
   */
  size(dim: Dim): Value {
    if (typeof dim === "number") return this.constant("int64", [1], [dim]);
    return this.once(`size ${dim}`, () => {
      const known = this.#sizes.get(dim);
      if (!known) {
        throw new RangeError(`Cannot read size ${dim}: no value has it`);
      }
      const { value, axis } = known;
      const attributes = { start: axis, end: axis + 1 };
      const int64 = { type: "int64", shape: [1] } as const;
      return this.record("Shape", [value], attributes, [int64])[0]!;
    });
  }

  /**
   * Record an operation. The functions of this folder call it; they know the
   * shapes.
   *
   * @param op Its name.
   * @param inputs What it reads.
   * @param attributes How it works.
   * @param outputs Types and shapes of what it gives.
   * @param names Names of the outputs; made up by default.
   * @returns The outputs.
   */
  record<Op extends OpType>(
    op: Op,
    inputs: readonly (Value | undefined)[],
    attributes: Operations[Op],
    outputs: readonly Omit<ValueInfo, "name">[],
    names?: readonly string[],
  ): Value[] {
    const values = outputs.map(({ type, shape }, i) =>
      this.#value(names?.[i] ?? this.#name(op), type, shape)
    );
    this.nodes.push({ op, inputs, outputs: values, attributes });
    return values;
  }

  /**
   * Have the caller feed what an operation gave, instead of computing it. What
   * was recorded with it, gradients as well, stays as it is.
   *
   * @param value The only output of an operation.
   * @param name Name of the input.
   */
  feed(value: Value, name: string): void {
    const index = this.nodes.findIndex(({ outputs }) => outputs[0] === value);
    const fed = this.input(name, value.type, value.shape);
    this.nodes[index] = {
      op: "Identity",
      inputs: [fed],
      outputs: [value],
      attributes: {},
    };
  }

  /**
   * The model so far: what the outputs need, and nothing else. Declared inputs
   * stay even where nothing reads them.
   *
   * @returns The model, to be serialized by `encodeModel`.
   */
  model(): OnnxModel {
    const needed = new Set(this.#outputs.map(({ name }) => name));
    const nodes: OnnxNode[] = [];
    for (const { op, inputs, outputs, attributes } of this.nodes.toReversed()) {
      if (!outputs.some(({ name }) => needed.has(name))) continue;
      for (const input of inputs) if (input) needed.add(input.name);
      nodes.push({
        op,
        inputs: inputs.map((input) => input?.name ?? ""),
        outputs: outputs.map(({ name }) => name),
        attributes: attributes as Record<string, Attribute>,
      });
    }
    const initializers = [...this.#initializers.values()]
      .filter(({ name }) => needed.has(name));
    return {
      inputs: this.#inputs,
      outputs: this.#outputs,
      initializers,
      nodes: nodes.reverse(),
    };
  }

  #value(name: string, type: TensorType, shape: readonly Dim[]): Value {
    const value = { tape: this, name, type, shape };
    shape.forEach((dim, axis) => {
      if (typeof dim === "number" || this.#sizes.has(dim)) return;
      this.#sizes.set(dim, { value, axis });
    });
    return value;
  }

  #name(prefix: string): string {
    return `${prefix}_${this.#count++}`;
  }
}

function encodeEntries(
  type: ConstantType,
  entries: ArrayLike<number>,
): Uint8Array {
  const numbers = Array.from(entries);
  const { buffer } = type === "int64"
    ? BigInt64Array.from(numbers, BigInt)
    : type === "float16"
    ? Float16Array.from(numbers)
    : ARRAYS[type].from(numbers);
  return new Uint8Array(buffer);
}
