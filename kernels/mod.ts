/**
 * Compute kernels. Each folder holds one kernel: the WGSL shader, the function
 * that dispatches it, the CPU reference that defines it, its tests and its
 * benchmark.
 *
 * @module
 */

export {
  type Binding,
  type Dispatch,
  type KernelArray,
  type Output,
  requestDevice,
  run,
} from "./device.ts";
export { DeviceArray } from "./device_array.ts";
export { type Shader } from "./pipelines.ts";
export {
  LEAST_MASS,
  relaxationOf,
  sinkhornCpu,
  sinkhornDefaults,
  type SinkhornOptions,
  type SinkhornOutput,
  type TransportProblems,
} from "./sinkhorn/sinkhorn_cpu.ts";
export { ScalingWorkspace } from "./sinkhorn/scaling_workspace.ts";
export { sinkhornScaling } from "./sinkhorn/sinkhorn_scaling.ts";
export { fitsSinkhorn, MAX_POINTS, sinkhorn } from "./sinkhorn/sinkhorn.ts";
export { editDistance } from "./edit_distance/edit_distance.ts";
export {
  bytesKey,
  type Nearest,
  NearestBytes,
} from "./edit_distance/nearest_bytes.ts";
export * from "./losses/mod.ts";
export * from "./adamw/adamw.ts";
export * from "./adamw/adamw_cpu.ts";
