import { DeviceArray } from "#/kernels/device_array.ts";
import { requestDevice } from "#/kernels/device.ts";
import { crossEntropy, klCpu, losses, type LossRows } from "./mod.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";

// How a loss grows with the number of rows, the vocabulary and the teacher's top-k:
// each alone, the others staying. Logits and gradient are on the device; a call
// waits 11 ms at least in Deno.
const usual = { length: 256, vocabSize: 32_000, topK: 10 };
type Size = typeof usual;

/** Logits that are drawn; they then repeat. */
const DISTINCT = 99_991;

const device = await requestDevice();

function makeRows({ length, vocabSize, topK }: Size): LossRows {
  const random = mulberry32(1);
  const filled = (count: number, value: () => number) =>
    Float32Array.from({ length: count }, value);
  const logits = new Float32Array(length * vocabSize);
  logits.set(
    filled(Math.min(DISTINCT, logits.length), () => 12 * random() ** 5),
  );
  for (let at = DISTINCT; at < logits.length; at *= 2) {
    logits.copyWithin(at, 0, at);
  }
  return {
    logits,
    labels: Int32Array.from({ length }, () => random() * vocabSize),
    labelWeight: filled(length, () => 0.9 / length),
    fusedIds: Int32Array.from(
      { length: length * topK },
      (_, entry) => (entry * 7919) % vocabSize,
    ),
    fusedProbs: filled(length * topK, () => 0.9 / topK),
    fusedResidual: filled(length, () => 0.1),
    fusedWeight: filled(length, () => 0.1 / length),
    vocabSize,
    topK,
    matched: new Uint32Array(vocabSize).fill(1),
    chunkLogprobs: filled(length, () => -1),
  };
}

function grow(group: string, name: string, size: Size): void {
  const isUsual = size === usual;
  const options = { group, baseline: isUsual, ignore: !device, n: 10 };
  Deno.bench(name, options, async (context) => {
    const rows = makeRows(size);
    using logits = DeviceArray.from(device!, rows.logits);
    // Compiles, and makes the buffers.
    (await crossEntropy(device!, { ...rows, logits })).dlogits
      [Symbol.dispose]();
    context.start();
    const { dlogits } = await crossEntropy(device!, { ...rows, logits });
    context.end();
    dlogits[Symbol.dispose]();
  });
}

for (const length of [64, 256, 1024]) {
  const size = length === usual.length ? usual : { ...usual, length };
  grow("cross-entropy by rows", `${length} rows`, size);
}

// 50,257 is no multiple of four, and read one by one.
for (const vocabSize of [8000, 32_000, 50_257, 128_000]) {
  const size = vocabSize === usual.vocabSize ? usual : { ...usual, vocabSize };
  grow("cross-entropy by vocabulary", `${vocabSize} tokens`, size);
}

for (const topK of [1, 10, 50, 200]) {
  const size = topK === usual.topK ? usual : { ...usual, topK };
  grow("cross-entropy by top-k", `top-${topK}`, size);
}

// The others, logits and gradients in memory: those by rank read a row K times.
const few = makeRows({ ...usual, length: 64 });
for (const [name, { kernel, projects }] of Object.entries(losses)) {
  if (projects) continue;
  Deno.bench(
    name,
    {
      group: "losses of 64 rows, copied",
      baseline: name === "cross-entropy",
      ignore: !device,
      n: 5,
    },
    async () => {
      await kernel(device!, few);
    },
  );
}

Deno.bench(
  "kl, f64 reference",
  { group: "losses of 64 rows, copied", n: 3 },
  () => {
    klCpu(few);
  },
);
