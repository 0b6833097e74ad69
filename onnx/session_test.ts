import assert from "node:assert/strict";
import {
  add,
  cast,
  createSession,
  encodeModel,
  externalData,
  gather,
  gemm,
  gradients,
  mul,
  softmax,
  Tape,
  type Tensor,
} from "#/onnx/mod.ts";
import { hasCudaProvider } from "#/onnx/devices.ts";

/** softmax(embedding · weight) and its gradients, as a step of training has it. */
function trainingStep(): Uint8Array {
  const tape = new Tape();
  const table = tape.input("table", "float32", [11, 16]);
  const weight = tape.input("weight", "float32", [31, 16]);
  const ids = tape.input("ids", "int64", ["N"]);
  const probs = softmax(gemm(gather(table, ids), weight, { transB: true }));
  const sources = [table, weight];
  gradients([{ value: probs, gradient: mul(probs, probs) }], sources)
    .forEach((gradient, i) => tape.output(gradient, `grad.${i}`));
  return encodeModel(tape.model());
}

function random(dims: number[], seed: number): Tensor {
  const length = dims.reduce((product, size) => product * size, 1);
  const data = Float32Array.from(
    { length },
    (_, i) => Math.sin(seed + 12.9898 * i) * 43758.5453 % 1,
  );
  return { type: "float32", dims, data };
}

/** Every row of the table is read by many of the N tokens. */
const batchOf = (length: number): Record<string, Tensor> => ({
  table: random([11, 16], 1),
  weight: random([31, 16], 2),
  ids: {
    type: "int64",
    dims: [length],
    data: BigInt64Array.from({ length }, (_, i) => BigInt(i * i % 11)),
  },
});

const bitsOf = (
  { data }: Tensor,
) => [...new Uint32Array(data.buffer, data.byteOffset, data.length)];

Deno.test("Session.run() gives identical bits 100 times, repeated ids or not", async () => {
  await using session = await createSession(trainingStep(), { threads: 2 });
  const feeds = batchOf(4096);
  const first = await session.run(feeds);
  for (let run = 1; run < 100; run++) {
    const again = await session.run(feeds);
    for (const name of session.outputs) {
      assert.deepEqual(bitsOf(again[name]!), bitsOf(first[name]!), name);
    }
  }
  await using other = await createSession(trainingStep(), { threads: 2 });
  const fresh = await other.run(feeds);
  for (const name of other.outputs) {
    assert.deepEqual(bitsOf(fresh[name]!), bitsOf(first[name]!), name);
  }
});

Deno.test("Session.run() does not grow over 1,000 steps", async () => {
  await using session = await createSession(trainingStep());
  const feeds = batchOf(512);
  const run = async (count: number) => {
    for (let i = 0; i < count; i++) await session.run(feeds);
  };
  await run(200);
  const before = Deno.memoryUsage().rss;
  await run(1000);
  const grown = Deno.memoryUsage().rss - before;
  // A step's logits are 64 kB: kept, they would show as 64 MB.
  assert.ok(grown < 16e6, `grew by ${grown} bytes`);
});

Deno.test("Session.run() writes to the arrays it is given", async () => {
  await using session = await createSession(trainingStep());
  const feeds = batchOf(7);
  const expected = await session.run(feeds, ["grad.0"]);
  assert.deepEqual(Object.keys(expected), ["grad.0"]);
  const buffer = new Float32Array(11 * 16 + 4);
  await session.run(feeds, {
    "grad.0": { type: "float32", dims: [11, 16], data: buffer.subarray(4) },
  });
  assert.deepEqual(buffer.slice(4), expected["grad.0"]!.data);
});

Deno.test("createSession() reads weights where they lie, in any type and at any offset", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const values = [1, -2, 0.5, 384];
    const bits = Uint16Array.from(
      Float32Array.from(values),
      (value) => new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16,
    );
    const file = `${directory}/weights.bin`;
    const bytes = new Uint8Array(3 + 8 + 8 + 16);
    bytes.set(new Uint8Array(bits.buffer), 3);
    bytes.set(new Uint8Array(Float16Array.from(values).buffer), 11);
    bytes.set(new Uint8Array(Float32Array.from(values).buffer), 19);
    await Deno.writeFile(file, bytes);
    await Deno.symlink(file, `${directory}/link.bin`);

    const tape = new Tape();
    const x = tape.input("x", "float32", [4]);
    const link = `${directory}/link.bin`;
    const layout = [["bfloat16", 3, 8], ["float16", 11, 8], [
      "float32",
      19,
      16,
    ]];
    for (
      const [type, offset, length] of layout as ["float32", number, number][]
    ) {
      const place = externalData(link, offset, length);
      const weight = tape.external(type, type, [4], place);
      tape.output(add(x, cast(weight, "float32")), `sum.${type}`);
    }
    await using session = await createSession(encodeModel(tape.model()));
    const zeros: Tensor = {
      type: "float32",
      dims: [4],
      data: new Float32Array(4),
    };
    const outputs = await session.run({ x: zeros });
    for (const name of session.outputs) {
      assert.deepEqual([...outputs[name]!.data], values, name);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test({
  name: "createSession() names the missing CUDA provider and the cure",
  ignore: hasCudaProvider(),
  async fn() {
    await assert.rejects(
      createSession(trainingStep(), { device: "cuda" }),
      /Cannot use device cuda: .*libonnxruntime_providers_cuda\.so is not installed; install it with/,
    );
  },
});

Deno.test("createSession() names what is wrong with a model", async () => {
  await assert.rejects(
    createSession(Uint8Array.of(1, 2, 3)),
    /Cannot create a session on cpu: /,
  );
});
