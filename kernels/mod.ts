/**
 * Compute kernels. Each folder holds one kernel: the WGSL shader, the function
 * that dispatches it, the CPU reference that defines it, its tests and its
 * benchmark.
 *
 * @module
 */

export * from "./device.ts";
