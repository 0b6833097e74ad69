import assert from "node:assert/strict";
import {
  openCheckpoint,
  readSafetensorsHeader,
  readWeight,
  trainingModel,
  type WeightInfo,
} from "#/models/mod.ts";
import { createSession, type Tensor } from "#/onnx/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";

const golden = new URL("../../shared/golden/models/", import.meta.url).pathname;
const names = listGolden();

for (const name of names) {
  Deno.test(`trainingModel() matches golden ${name}: logits, loss, every gradient`, async () => {
    const { config, weights } = await openCheckpoint(golden + name);
    const expected = await readExpected(golden + name);
    const [batch, length] = expected.ids.dims as [number, number];
    const feeds = {
      ...await weightTensors(weights),
      ...batchTensors(expected.ids),
    };
    const tolerance = { rtol: 1e-4, atol: 1e-5 };

    const forward = trainingModel(config, weights, {
      loss: "external",
      backward: false,
    });
    await using scoring = await createSession(forward.bytes);
    const inputs = ["input_ids", "position", "document", ...weights.keys()];
    const { logits } = await scoring.run(pick(feeds, inputs));
    assertAllClose(logits!.data as Float32Array, expected.logits, tolerance);

    const { bytes, weightNames } = trainingModel(config, weights);
    assert.deepEqual(weightNames.toSorted(), [...weights.keys()].toSorted());
    await using training = await createSession(bytes);
    const labels = labelTensors(expected.ids, batch, length);
    const outputs = await training.run({ ...feeds, ...labels });
    assertAllClose(
      outputs.loss!.data as Float32Array,
      expected.loss,
      tolerance,
    );
    for (const name of weightNames) {
      const key = `grad.${name}`;
      const gradient = outputs[key]!;
      assert.deepEqual([...gradient.dims], weights.get(name)!.shape, name);
      assertAllClose(
        gradient.data as Float32Array,
        expected.gradients[key]!,
        tolerance,
      );
    }
  });
}

function listGolden(): string[] {
  try {
    return [...Deno.readDirSync(golden)].map(({ name }) => name).toSorted();
  } catch {
    return [];
  }
}

// Where there are none, a line says so; it cannot pass.
if (names.length === 0) {
  Deno.test.ignore("golden models (skipped: shared/golden absent)", () => {});
}

async function readExpected(directory: string) {
  const file = `${directory}/expected.safetensors`;
  const { weights } = await readSafetensorsHeader(file);
  const gradients: Record<string, Float32Array> = {};
  for (const [name, info] of weights) {
    if (name.startsWith("grad.")) gradients[name] = await readWeight(info);
  }
  const ids = weights.get("input_ids")!;
  const bytes = await Deno.readFile(file);
  return {
    ids: {
      type: "int64",
      dims: ids.shape,
      data: new BigInt64Array(
        bytes.slice(ids.offset, ids.offset + ids.byteLength).buffer,
      ),
    } satisfies Tensor,
    logits: await readWeight(weights.get("logits")!),
    loss: await readWeight(weights.get("loss")!),
    gradients,
  };
}

async function weightTensors(weights: ReadonlyMap<string, WeightInfo>) {
  const tensors: Record<string, Tensor> = {};
  for (const [name, info] of weights) {
    const data = await readWeight(info);
    tensors[name] = { type: "float32", dims: info.shape, data };
  }
  return tensors;
}

function batchTensors(ids: Tensor): Record<string, Tensor> {
  const { length, [0]: first } = ids.data as BigInt64Array;
  assert.ok(first !== undefined);
  const width = BigInt(ids.dims[1]!);
  const int64 = (f: (index: bigint) => bigint): Tensor => ({
    type: "int64",
    dims: ids.dims,
    data: BigInt64Array.from({ length }, (_, index) => f(BigInt(index))),
  });
  return {
    input_ids: ids,
    position: int64((index) => index % width),
    document: int64(() => 0n),
  };
}

function labelTensors(
  { data, dims }: Tensor,
  batch: number,
  length: number,
): Record<string, Tensor> {
  const ids = data as BigInt64Array;
  const isLast = (index: number) => index % length === length - 1;
  return {
    labels: {
      type: "int64",
      dims,
      data: ids.map((_, index) => isLast(index) ? -100n : ids[index + 1]!),
    },
    ce_weight: {
      type: "float32",
      dims,
      data: Float32Array.from(
        ids,
        (_, index) => isLast(index) ? 0 : 1 / (batch * (length - 1)),
      ),
    },
  };
}

function pick(
  tensors: Record<string, Tensor>,
  names: readonly string[],
): Record<string, Tensor> {
  return Object.fromEntries(names.map((name) => [name, tensors[name]!]));
}
