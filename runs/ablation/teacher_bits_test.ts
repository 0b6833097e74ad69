import assert from "node:assert/strict";
import { join } from "node:path";
import { teacherBits } from "#/runs/ablation/teacher_bits.ts";
import { cast } from "#/runs/demo/cast.ts";
import {
  type AlignedRow,
  datasets,
  type RepresentationRow,
  writeDataset,
} from "#/shards/mod.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const plan = { stage: "test", options: {}, inputs: {} };
const VOCAB_SIZE = 8192;

/** Three labels of one byte each. */
const said: RepresentationRow = {
  id: "novel/one",
  textHash: "",
  inputIds: Int32Array.of(1, 10, 11, 12),
  byteEnds: Int32Array.of(0, 1, 2, 3),
  topK: 1,
  topkIds: Int32Array.of(5, 5, 5, 5),
  topkLogprobs: new Float32Array(4).fill(-1),
  labelLogprobs: Float32Array.of(-1, -2, -4, NaN),
  bitsPerByte: 3,
};

function teacher(bitsPerByte: number): AlignedRow {
  return {
    id: said.id,
    topK: 2,
    // The label, something else, nothing.
    topkIds: Int32Array.of(10, 7, 8, 9, -1, -1, -1, -1),
    topkLogprobs: Float32Array.of(
      -0.5,
      -2,
      -1,
      -3,
      ...Array(4).fill(-Infinity),
    ),
    weight: Float32Array.of(1, 1, 0, 0),
    marginalError: new Float32Array(4),
    labelLogprobs: new Float32Array(4).fill(NaN),
    bitsPerByte,
  };
}

async function bits(directory: string, bitsPerByte: number) {
  const [target, source] = [join(directory, "t"), join(directory, "s")];
  await writeDataset(
    { ...plan, out: target, schema: datasets.representations },
    () => [said],
  );
  await writeDataset(
    { ...plan, out: source, schema: datasets.aligned },
    () => [teacher(bitsPerByte)],
  );
  return await teacherBits(cast.target, target, [source]);
}

Deno.test("teacherBits() believes the best model, and its tail, where it speaks", () =>
  inTemporaryDirectory(async (directory) => {
    const { taught, bits_per_byte } = await bits(directory, 2);
    assert.equal(taught, 2 / 3);
    const tail = (1 - Math.exp(-1) - Math.exp(-3)) / (VOCAB_SIZE - 2);
    const nats = 0.5 - Math.log(tail) + 4;
    assert.ok(Math.abs(bits_per_byte.novel! - nats / 3 / Math.LN2) < 1e-6);
  }));

Deno.test("teacherBits() believes the target where it is the best", () =>
  inTemporaryDirectory(async (directory) => {
    const { taught, bits_per_byte } = await bits(directory, 4);
    assert.equal(taught, 0);
    assert.ok(Math.abs(bits_per_byte.novel! - 7 / 3 / Math.LN2) < 1e-6);
  }));
