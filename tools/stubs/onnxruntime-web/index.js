// transformers.js lists onnxruntime-web as a dependency but its build for Node
// carries a copy and runs onnxruntime-node: 140 MB that nobody loads.

/** Stands in for onnxruntime-web. */
export const env = {};
