import { WireWriter } from "./wire.ts";

/** Element types of tensors, and their numbers in ONNX. */
export const TENSOR_TYPES = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
} as const;

/** An element type. */
export type TensorType = keyof typeof TENSOR_TYPES;

/** A size known when the graph is built, or the name of one known when it runs. */
export type Dim = number | string;

/** A tensor's name, element type and shape. */
export interface ValueInfo {
  /** Unique within a graph. */
  readonly name: string;
  /** Element type. */
  readonly type: TensorType;
  /** Sizes, outermost first. */
  readonly shape: readonly Dim[];
}

/** Where a file holds a tensor's little-endian bytes. */
export interface ExternalData {
  /** Relative to the folder that the session is given. */
  readonly location: string;
  /** First byte. */
  readonly offset: number;
  /** Number of bytes. */
  readonly length: number;
}

/** A tensor that is part of the model. */
export interface Initializer extends ValueInfo {
  /** Sizes, all known. */
  readonly shape: readonly number[];
  /** Its bytes, or where they lie. */
  readonly data: Uint8Array | ExternalData;
}

/** Value of a node's attribute: integers are `ints`, reals are `{ float }`. */
export type Attribute = number | readonly number[] | string | {
  readonly float: number;
};

/** One operation. */
export interface OnnxNode {
  /** ONNX's operator name. */
  readonly op: string;
  /** Names of values; "" leaves an optional input out. */
  readonly inputs: readonly string[];
  /** Names of values. */
  readonly outputs: readonly string[];
  /** Attributes by name. */
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A whole model, nodes in an order in which they can run. */
export interface OnnxModel {
  /** What the caller feeds. */
  readonly inputs: readonly ValueInfo[];
  /** What the caller fetches. */
  readonly outputs: readonly ValueInfo[];
  /** Constants and weights. */
  readonly initializers: readonly Initializer[];
  /** Operations. */
  readonly nodes: readonly OnnxNode[];
}

/** The operator set graphs are written in. */
export const OPSET = 23;
const IR_VERSION = 11;

const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, ints: 7 };
const EXTERNAL = 1;

/**
 * Serialize a model as an ONNX `ModelProto`.
 *
 * Fields ascend and repeated ones are not packed: the canonical bytes of proto2.
 *
 * @param model The model.
 * @returns The bytes of an .onnx file.
 * @see {@link https://github.com/onnx/onnx/blob/main/onnx/onnx.proto}
 */
export function encodeModel(model: OnnxModel): Uint8Array<ArrayBuffer> {
  const writer = new WireWriter();
  writer.int(1, IR_VERSION);
  writer.text(2, "pta");
  writer.message(7, (graph) => {
    for (const node of model.nodes) graph.message(1, (m) => writeNode(m, node));
    graph.text(2, "graph");
    for (const initializer of model.initializers) {
      graph.message(5, (message) => writeInitializer(message, initializer));
    }
    for (const value of model.inputs) {
      graph.message(11, (message) => writeValueInfo(message, value));
    }
    for (const value of model.outputs) {
      graph.message(12, (message) => writeValueInfo(message, value));
    }
  });
  writer.message(8, (opset) => {
    opset.int(2, OPSET);
  });
  return writer.bytes;
}

function writeNode(writer: WireWriter, node: OnnxNode): void {
  for (const name of node.inputs) writer.text(1, name);
  for (const name of node.outputs) writer.text(2, name);
  writer.text(3, node.outputs[0]!);
  writer.text(4, node.op);
  for (const [name, value] of Object.entries(node.attributes)) {
    writer.message(5, (message) => writeAttribute(message, name, value));
  }
}

function writeAttribute(
  writer: WireWriter,
  name: string,
  value: Attribute,
): void {
  writer.text(1, name);
  if (typeof value === "number") {
    writer.int(3, value);
    writer.int(20, ATTRIBUTE_TYPES.int);
  } else if (typeof value === "string") {
    writer.text(4, value);
    writer.int(20, ATTRIBUTE_TYPES.string);
  } else if ("float" in value) {
    writer.float(2, value.float);
    writer.int(20, ATTRIBUTE_TYPES.float);
  } else {
    for (const int of value) writer.int(8, int);
    writer.int(20, ATTRIBUTE_TYPES.ints);
  }
}

function writeInitializer(
  writer: WireWriter,
  { name, type, shape, data }: Initializer,
): void {
  for (const size of shape) writer.int(1, size);
  writer.int(2, TENSOR_TYPES[type]);
  writer.text(8, name);
  if (data instanceof Uint8Array) return writer.data(9, data);
  for (const key of ["location", "offset", "length"] as const) {
    writer.message(13, (entry) => {
      entry.text(1, key);
      entry.text(2, String(data[key]));
    });
  }
  writer.int(14, EXTERNAL);
}

function writeValueInfo(
  writer: WireWriter,
  { name, type, shape }: ValueInfo,
): void {
  writer.text(1, name);
  writer.message(2, (value) => {
    value.message(1, (tensor) => {
      tensor.int(1, TENSOR_TYPES[type]);
      tensor.message(2, (dims) => {
        for (const size of shape) {
          dims.message(1, (dim) => {
            if (typeof size === "number") dim.int(1, size);
            else dim.text(2, size);
          });
        }
      });
    });
  });
}
