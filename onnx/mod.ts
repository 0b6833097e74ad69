/**
 * Graphs: recorded on a tape, differentiated by one table of rules, serialized
 * as ONNX and run by onnxruntime. Knows no model.
 *
 * @module
 */

export * from "./model.ts";
export * from "./tape.ts";
export * from "./elementwise.ts";
export * from "./layout.ts";
export * from "./linear.ts";
export * from "./gradients.ts";
export * from "./memory.ts";
export * from "./devices.ts";
export * from "./session.ts";
