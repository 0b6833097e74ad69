import type { Dim, TensorType, ValueInfo } from "./model.ts";
import type { OpType, Tape, Value } from "./tape.ts";

/** Bytes of an entry. */
const BYTES: Record<TensorType, number> = {
  float32: 4,
  uint8: 1,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
  float64: 8,
  bfloat16: 2,
};

/** Operations whose output is their first input under another name or shape. */
const VIEWS: ReadonlySet<OpType> = new Set(["Reshape", "Identity"]);

/** Operations that write over their first input where nothing else reads it. */
const IN_PLACE: ReadonlySet<OpType> = new Set([
  "Add",
  "Sub",
  "Mul",
  "Div",
  "Neg",
  "Sigmoid",
  "ScatterElements",
]);

/**
 * How much more than {@linkcode peakBytes} a session holds: onnxruntime's arena
 * grows by doubling, and keeps what it has. A graph of 0.4 GB took 1.0 times as
 * much, one of 1.7 GB 1.65 times.
 */
export const ARENA_SLACK = 1.7;

/**
 * Estimate the memory a graph takes to run: the most that its values hold at one
 * time, if operations run in the order they were recorded. Inputs, constants and
 * weights are not counted, outputs are.
 *
 * @param tape The graph.
 * @param sizes What the symbols in its shapes stand for.
 * @param elsewhere Names of outputs that the caller has room for: not counted.
 * @returns Bytes.
 * @throws {RangeError} If a symbol is missing.
 */
export function peakBytes(
  tape: Tape,
  sizes: Readonly<Record<string, number>>,
  elsewhere: readonly string[] = [],
): number {
  const needed = new Set(tape.model().nodes.flatMap(({ outputs }) => outputs));
  const nodes = tape.nodes.filter(({ outputs }) =>
    outputs.some(({ name }) => needed.has(name))
  );
  const storage = new Map<string, string>();
  const stored = ({ name }: Value) => storage.get(name) ?? name;
  const lastUse = new Map<string, number>();
  nodes.forEach(({ op, inputs, outputs }, index) => {
    for (const input of inputs) if (input) lastUse.set(stored(input), index);
    if (VIEWS.has(op)) storage.set(outputs[0]!.name, stored(inputs[0]!));
  });
  for (const { name } of tape.model().outputs) {
    lastUse.set(storage.get(name) ?? name, Infinity);
  }

  const given = new Set(elsewhere.map((name) => storage.get(name) ?? name));
  const held = new Map<string, number>();
  let now = 0;
  let peak = 0;
  nodes.forEach(({ op, inputs, outputs }, index) => {
    const release = () => {
      for (const input of inputs) {
        if (!input || lastUse.get(stored(input)) !== index) continue;
        now -= held.get(stored(input)) ?? 0;
        held.delete(stored(input));
      }
    };
    if (IN_PLACE.has(op)) release();
    if (!VIEWS.has(op)) {
      for (const output of outputs) {
        if (given.has(output.name)) continue;
        const bytes = bytesOf(output, sizes);
        held.set(output.name, bytes);
        now += bytes;
      }
    }
    peak = Math.max(peak, now);
    release();
  });
  return peak;
}

/**
 * Size of a value.
 *
 * @param value The value.
 * @param sizes What the symbols in its shape stand for.
 * @returns Bytes.
 * @throws {RangeError} If a symbol is missing.
 */
export function bytesOf(
  { type, shape }: ValueInfo,
  sizes: Readonly<Record<string, number>>,
): number {
  return shape.reduce((bytes: number, dim) => bytes * sizeOf(dim, sizes), 1) *
    BYTES[type];
}

/** A size, which may be a product such as `2*T`. */
function sizeOf(dim: Dim, sizes: Readonly<Record<string, number>>): number {
  if (typeof dim === "number") return dim;
  return dim.split("*").reduce((product, part) => {
    const size = /^\d+$/.test(part) ? Number(part) : sizes[part];
    if (size === undefined) {
      throw new RangeError(
        `Cannot estimate memory: the size ${part} is not given, expected one of ` +
          Object.keys(sizes).join(", "),
      );
    }
    return product * size;
  }, 1);
}
