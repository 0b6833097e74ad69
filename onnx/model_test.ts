import assert from "node:assert/strict";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import {
  add,
  encodeModel,
  gemm,
  gradients,
  mul,
  OPSET,
  reduceSum,
  softmax,
  Tape,
  topK,
} from "#/onnx/mod.ts";

function exampleTape(): Tape {
  const tape = new Tape();
  const x = tape.input("x", "float32", ["N", 3]);
  const w = tape.external("w", "float32", [5, 3], {
    location: "dir/weights.safetensors",
    offset: 2 ** 33 + 243,
    length: 60,
  });
  const bias = tape.constant("float32", [5], [0, -1, 0.5, 1e-30, 3e38]);
  const y = softmax(gemm(x, w, { transB: true, alpha: 0, bias }));
  const [values, indices] = topK(mul(y, 2), 2);
  tape.output(values, "values");
  tape.output(indices, "indices");
  const loss = reduceSum(y, [0, -1]);
  tape.output(loss, "loss");
  const seed = tape.constant("float32", [1, 1], [1]);
  const [dx] = gradients([{ value: loss, gradient: seed }], [x]);
  tape.output(add(dx!, x), "dx");
  tape.output(tape.constant("int64", [0], []), "nothing");
  return tape;
}

Deno.test("encodeModel() gives the bytes of an independent encoder", () => {
  const bytes = encodeModel(exampleTape().model());
  const message = fromBinary(ModelProtoSchema, bytes);
  assert.deepEqual(toBinary(ModelProtoSchema, message), bytes);
});

Deno.test("encodeModel() writes what an independent decoder reads", () => {
  const model = exampleTape().model();
  const { graph, opsetImport } = fromBinary(
    ModelProtoSchema,
    encodeModel(model),
  );
  assert.equal(Number(opsetImport[0]!.version), OPSET);
  assert.deepEqual(
    graph!.node.map(({ opType, input, output }) => [opType, input, output]),
    model.nodes.map(({ op, inputs, outputs }) => [op, inputs, outputs]),
  );
  const external = graph!.initializer.find(({ name }) => name === "w")!;
  assert.deepEqual(
    external.externalData.map(({ key, value }) => [key, value]),
    [
      ["location", "dir/weights.safetensors"],
      ["offset", "8589934835"],
      ["length", "60"],
    ],
  );
  const minusOne = graph!.initializer.find(({ dims }) =>
    dims.length === 1 && dims[0] === 2n
  )!;
  assert.deepEqual(
    [...new BigInt64Array(minusOne.rawData.slice().buffer)],
    [0n, -1n],
  );
  const { value } = graph!.input[0]!.type!;
  assert.ok(value.case === "tensorType");
  const [n, three] = value.value.shape!.dim;
  assert.equal(n!.value.value, "N");
  assert.equal(three!.value.value, 3n);
});

Deno.test("Tape.model() leaves out what no output needs", () => {
  const tape = new Tape();
  const x = tape.input("x", "float32", ["N"]);
  mul(x, 2);
  tape.output(add(x, 1), "y");
  const { nodes, initializers } = tape.model();
  assert.deepEqual(nodes.map(({ op }) => op), ["Add", "Identity"]);
  assert.equal(initializers.length, 1);
});
