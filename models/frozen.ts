import {
  externalData,
  type Tape,
  type TensorType,
  type Value,
} from "#/onnx/mod.ts";
import { describeModel, type Model } from "./architectures.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { WeightSource } from "./trace.ts";
import { WeightNames } from "./weights.ts";

/** Element types that a graph can read in place, by safetensors' names. */
const STORED: Readonly<Record<string, TensorType>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  F64: "float64",
};

/** A model whose weights stay where they are: in the files, mapped into memory. */
export interface FrozenModel {
  /** Its description. */
  readonly model: Model;
  /** Declares each weight in the graph as it is asked for. */
  readonly weights: WeightSource;
  /** Make sure that the files hold nothing the model has no use for. */
  checkUnused(): void;
}

/**
 * Read a model's weights in place.
 *
 * @param tape The graph they are for.
 * @param checkpoint Where they lie. Its files must not be written to while a session lives.
 * @returns Description and weights.
 * @throws {RangeError} If the model is not supported, or a weight is missing.
 */
export function freeze(tape: Tape, checkpoint: Checkpoint): FrozenModel {
  const model = describeModel(checkpoint.config);
  const names = new WeightNames(model, checkpoint.weights);
  return {
    model,
    checkUnused: () => names.checkUnused(),
    weights(name, shape): Value {
      const info = checkpoint.weights.get(names.find(name, shape))!;
      const type = STORED[info.dtype];
      if (!type) {
        throw new TypeError(
          `Cannot use weight ${info.name} of ${info.file}: it is ${info.dtype}, ` +
            `expected one of ${Object.keys(STORED).join(", ")}`,
        );
      }
      const data = externalData(info.file, info.offset, info.byteLength);
      return tape.external(info.name, type, info.shape, data);
    },
  };
}

/**
 * Say which model an error is about.
 *
 * @param directory The model's directory.
 * @param build What may throw.
 * @returns What it returns.
 * @throws What it throws, the directory named.
 */
export function naming<Result>(
  directory: string,
  build: () => Result,
): Result {
  try {
    return build();
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) {
      error.message = `${error.message} (in ${directory})`;
    }
    throw error;
  }
}
