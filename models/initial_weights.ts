import { Tape } from "#/onnx/mod.ts";
import { describeModel } from "./architectures.ts";
import { Trace, type WeightKind } from "./trace.ts";

/** A weight in memory. */
export interface InitialWeight {
  /** Its shape. */
  shape: number[];
  /** Its entries, row-major. */
  data: Float32Array;
}

/**
 * Weights of a model from scratch: N(0, `initializer_range`²), what adds to the
 * residual stream divided by √(2 layers), norms 1, biases 0.
 *
 * @param config config.json, verbatim.
 * @param seed Equal seeds give equal weights.
 * @param allocate Where a weight goes, by its name and length; a new array by
 * default.
 * @returns Every weight by its Hugging Face name.
 * @throws {RangeError} If the config is not supported.
 * @see Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", §2.3.
 */
export function initialWeights(
  config: Record<string, unknown>,
  seed: number,
  allocate: (name: string, length: number) => Float32Array = (_, length) =>
    new Float32Array(length),
): Map<string, InitialWeight> {
  const { initializerRange, layers } = describeModel(config);
  const random = normalGenerator(seed);
  const spread: Record<WeightKind, () => number> = {
    normal: () => initializerRange * random(),
    residual: () => initializerRange / Math.sqrt(2 * layers) * random(),
    ones: () => 1,
    zeros: () => 0,
  };
  const weights = new Map<string, InitialWeight>();
  for (const { name, shape, kind } of expectedWeights(config)) {
    const length = shape.reduce((product, size) => product * size, 1);
    const data = allocate(name, length);
    for (let i = 0; i < length; i++) data[i] = spread[kind]();
    weights.set(name, { shape, data });
  }
  return weights;
}

/**
 * The weights that a config implies.
 *
 * @param config config.json, verbatim.
 * @returns Names, shapes and how they start, in the order of use.
 * @throws {RangeError} If the config is not supported.
 */
export function expectedWeights(
  config: Record<string, unknown>,
): { name: string; shape: number[]; kind: WeightKind }[] {
  const model = describeModel(config);
  const weights: { name: string; shape: number[]; kind: WeightKind }[] = [];
  const tape = new Tape();
  const trace = new Trace({
    ids: tape.input("input_ids", "int64", ["B", "T"]),
    positions: tape.input("position", "int64", ["B", "T"]),
    weights(name, shape, kind) {
      weights.push({ name, shape: [...shape], kind });
      return tape.input(name, "float32", shape);
    },
  });
  let x = model.embed(trace);
  for (let layer = 0; layer < model.layers; layer++) {
    x = model.block(trace, x, layer);
  }
  model.logits(trace, x);
  return weights;
}

/** Standard normal numbers: Box-Muller over the 32-bit generator mulberry32. */
function normalGenerator(seed: number): () => number {
  let state = seed | 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
  return () =>
    Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
