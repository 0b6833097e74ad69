import { type Device, resolveDevice, type TensorType } from "#/onnx/mod.ts";

/** How a model is run. */
export interface RunOptions {
  /** Where; "auto" by default: CUDA where it is installed, else the CPU. */
  device?: Device;
  /**
   * What to compute in, f32 by default. The CPU, which has no 16-bit arithmetic,
   * rounds the weights and computes in f32.
   */
  dtype?: "f32" | "f16" | "bf16";
  /** Threads on the CPU; one a core by default. */
  threads?: number;
}

const DTYPES = { f32: "float32", f16: "float16", bf16: "bfloat16" } as const;

/**
 * What a graph computes in on a device.
 *
 * @param options See {@linkcode RunOptions}.
 * @returns Options of a `Trace`.
 */
export function precision(
  { device, dtype = "f32" }: RunOptions,
): { arithmetic?: TensorType; rounding?: TensorType } {
  if (dtype === "f32") return {};
  return resolveDevice(device) === "cpu"
    ? { rounding: DTYPES[dtype] }
    : { arithmetic: DTYPES[dtype] };
}
