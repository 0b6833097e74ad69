import assert from "node:assert/strict";
import { join } from "node:path";
import { openCheckpoint, readWeight } from "#/models/mod.ts";
import {
  type ModelSource,
  openModel,
  openTrainingData,
  train,
  trainDefects,
  type TrainingData,
  type TrainPlan,
} from "#/stages/train/train.ts";
import { switchesOf } from "#/stages/reference_switches.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { makeTinyModel, tinyText } from "#/tests/tiny_language.ts";

const directory = await Deno.makeTempDir({ prefix: "pta-train-test-" });
const { model, data, validation } = await fixtures();
const common = {
  model,
  data,
  steps: 10,
  batchSize: 2,
  learningRate: 3e-3,
  weightDecay: 0.1,
  saveEvery: 0,
  threads: 1,
};

Deno.test("train() from scratch lowers the loss, on held-out text too", async () => {
  const metrics = await run({
    ...common,
    steps: 40,
    validation,
    evalEvery: 10,
  });
  const losses = metrics.map(({ loss }) => loss);
  // Fresh weights predict evenly.
  assertAllClose(losses.slice(0, 1), [Math.log(model.vocabSize)], {
    rtol: 0.05,
    atol: 0,
  });
  assert.ok(losses.at(-1)! < 0.8 * losses[0]!);
  const held = metrics.flatMap(({ validationLoss }) => validationLoss ?? []);
  assert.equal(held.length, 4);
  assert.ok(held[3]! < held[0]!);
});

const others = {
  gpt2: { n_embd: 16, n_layer: 2, n_head: 2, n_positions: 64 },
  gpt_neox: {
    ...{ hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2 },
    ...{ num_attention_heads: 2, rotary_pct: 0.25, hidden_act: "gelu" },
  },
  mpt: { d_model: 16, n_layers: 2, n_heads: 2, max_seq_len: 64 },
};

for (const [name, fields] of Object.entries(others)) {
  Deno.test(`train() lowers the loss of a ${name}`, async () => {
    const path = join(directory, name);
    await makeTinyModel(path, { model_type: name, ...fields });
    const other = await openModel({ model: path, fromScratch: true });
    const metrics = await run({ ...common, model: other, steps: 20 });
    assert.ok(metrics.at(-1)!.loss < 0.95 * metrics[0]!.loss);
  });
}

Deno.test("train() twice gives the same bits", async () => {
  const [one, two] = [fresh(), fresh()];
  const first = await run({ ...common, out: one });
  const second = await run({ ...common, out: two });
  assert.deepEqual(lossesOf(first), lossesOf(second));
  assert.deepEqual(await weightBytes(one), await weightBytes(two));
});

Deno.test("train() resumed gives the same bits as uninterrupted", async () => {
  const [whole, cut] = [fresh(), fresh()];
  const plan = { ...common, saveEvery: 3 };
  const expected = await run({ ...plan, out: whole });
  for await (const { step } of train({ ...plan, out: cut })) {
    if (step === 8) break;
  }
  const rest = await run({ ...plan, out: cut, resume: true });
  assert.equal(rest[0]!.step, 7);
  assert.deepEqual(lossesOf(rest), lossesOf(expected.slice(6)));
  assert.deepEqual(await weightBytes(cut), await weightBytes(whole));
  assert.deepEqual(await loggedLosses(cut), await loggedLosses(whole));
  assert.deepEqual(await run({ ...plan, out: cut, resume: true }), []);
});

Deno.test("train() resumes after SIGKILL with the same losses", async () => {
  const [whole, killed] = [fresh(), fresh()];
  const args = (out: string) => [
    ...["run", "-A", new URL("./main.ts", import.meta.url).pathname, "train"],
    ...["--model", join(directory, "model"), "--from-scratch", "--resume"],
    ...["--data", join(directory, "train.txt"), "--length", "32"],
    ...["--steps", "200", "--batch-size", "2", "--save-every", "7"],
    ...["--learning-rate", "0.003", "--threads", "1", "--out", out],
  ];
  const start = (out: string) =>
    new Deno.Command(Deno.execPath(), {
      args: args(out),
      stdout: "null",
      stderr: "null",
    }).spawn();
  await using child = start(killed);
  while (!(await existsWithin(killed, "checkpoint-"))) await pause(5);
  child.kill("SIGKILL");
  assert.ok(!(await child.status).success);
  assert.ok(!(await existsWithin(killed, "model.safetensors")));

  await using again = start(killed);
  await using reference = start(whole);
  assert.ok((await again.status).success && (await reference.status).success);
  assert.deepEqual(await loggedLosses(killed), await loggedLosses(whole));
  assert.deepEqual(await weightBytes(killed), await weightBytes(whole));
});

Deno.test("train() recomputing gives the same losses and weights", async () => {
  const [whole, parts] = [fresh(), fresh()];
  const plan = { ...common, accumulate: 2, steps: 5 };
  const expected = await run({ ...plan, out: whole });
  const actual = await run({ ...plan, out: parts, recompute: true });
  // The tied embedding's gradient is summed in another order, over five updates.
  const tolerance = { rtol: 1e-5, atol: 0 };
  assertAllClose(lossesOf(actual), lossesOf(expected), tolerance);
  assertAllClose(normsOf(actual), normsOf(expected), tolerance);
  const weights = await weightBytes(whole);
  for (const [i, actual] of (await weightBytes(parts)).entries()) {
    // Where a gradient is about 0, AdamW's update has any size up to the rate.
    assertAllClose(actual, weights[i]!, { rtol: 1e-4, atol: 1e-4 });
  }
});

Deno.test("train() recomputing gives the same bits, resumed or not", async () => {
  const [whole, cut] = [fresh(), fresh()];
  const plan = { ...common, steps: 6, saveEvery: 3, recompute: true };
  const expected = await run({ ...plan, out: whole });
  for await (const { step } of train({ ...plan, out: cut })) {
    if (step === 4) break;
  }
  const rest = await run({ ...plan, out: cut, resume: true });
  assert.deepEqual(lossesOf(rest), lossesOf(expected.slice(3)));
  assert.deepEqual(await weightBytes(cut), await weightBytes(whole));
});

Deno.test("train() may be resumed with recompute, where memory ran out", async () => {
  const [whole, cut] = [fresh(), fresh()];
  const plan = { ...common, steps: 6, saveEvery: 3 };
  const expected = await run({ ...plan, out: whole });
  for await (const { step } of train({ ...plan, out: cut })) {
    if (step === 4) break;
  }
  const rest = await run({ ...plan, out: cut, resume: true, recompute: true });
  assert.equal(rest[0]!.step, 4);
  const tolerance = { rtol: 1e-5, atol: 0 }; // as above
  assertAllClose(lossesOf(rest), lossesOf(expected.slice(3)), tolerance);
});

Deno.test("train() refuses to resume what was another run", async () => {
  const out = fresh();
  await run({ ...common, out, steps: 2 });
  await assert.rejects(
    run({ ...common, out, steps: 2, learningRate: 1, resume: true }),
    new Error(
      `Cannot resume from ${out}: learningRate was 0.003, now it is 1`,
    ),
  );
  await assert.rejects(run({ ...common, out }), /it exists, expected a new/);
});

Deno.test("train() accumulates to the gradient of one large batch", async () => {
  const large = await run({ ...common, steps: 4, batchSize: 4 });
  const small = await run({
    ...common,
    steps: 4,
    batchSize: 2,
    accumulate: 2,
  });
  // f32 sums in another order, through four updates.
  const tolerance = { rtol: 1e-4, atol: 0 };
  assertAllClose(lossesOf(small), lossesOf(large), tolerance);
  assertAllClose(normsOf(small), normsOf(large), tolerance);
});

Deno.test("train() writes a model that others load, and goes on from it", async () => {
  const out = fresh();
  const [before] = (await run({ ...common, out, steps: 30 })).slice(-1);
  const { weights } = await openCheckpoint(out);
  assert.ok([...weights.values()].every(({ dtype }) => dtype === "F32"));
  assert.equal((await loadTokenizer(out)).vocabSize, model.vocabSize);
  const trained = await openModel({ model: out });
  const [first] = await run({ ...common, model: trained, steps: 1 });
  assert.ok(first!.loss < before!.loss + 0.5);
});

Deno.test("train() stops at a loss that is not finite, and keeps the checkpoint", async () => {
  const out = fresh();
  await assert.rejects(
    run({ ...common, out, learningRate: 1e38, saveEvery: 1, maxGradNorm: 1e9 }),
    (error: Error) => {
      assert.ok(error instanceof RangeError);
      assert.match(
        error.message,
        /^Cannot go on training at step \d+: the loss is .*checkpoint-\d+ is kept$/,
      );
      return true;
    },
  );
  assert.ok(await existsWithin(out, "checkpoint-"));
});

Deno.test("train() says what does not fit", async () => {
  const long = { ...data, length: 65 };
  const cases: [Partial<TrainPlan>, RegExp][] = [
    [
      { data: long },
      /rows have 65 positions, expected at most .* context of 64/,
    ],
    [{ teachers: ["b"] }, /Cannot learn from teacher b: .* has no teachers/],
    [{ lmWeight: 1.5 }, /lmWeight is 1.5, expected 0 to 1/],
    [{ steps: 0 }, /steps is 0, expected 1 or more/],
    [{ epsilon: 0 }, /epsilon is 0, expected a positive number/],
    [{ saveEvery: -1 }, /saveEvery is -1, expected 0 or more/],
    [{ threads: 0.5 }, /threads is 0.5, expected 1 or more/],
    [{ memory: -1 }, /memory is -1, expected a positive number/],
    [
      { memory: 4, recompute: true },
      /memory is 4 and recompute true, expected one of the two/,
    ],
    [{ beta: 1 }, /beta is 1, expected between 0 and 1/],
    [
      { loss: "gold" },
      /loss is gold without vocabulary mappings, expected those of the sources/,
    ],
    [
      { loss: "reverse-kl", lossOn: "graph" },
      /loss is reverse-kl with residual bucket, expected cross-entropy or kl/,
    ],
    [
      { residual: "spread", recompute: true },
      /loss is cross-entropy with residual spread, expected .* bucket or zero/,
    ],
    [
      { recompute: true, lossOn: "webgpu" },
      /lossOn is webgpu and recompute is set, expected the loss in the graph/,
    ],
  ];
  for (const [change, message] of cases) {
    await assert.rejects(run({ ...common, ...change }), message);
  }
});

Deno.test("train() on a teacher comes closer to it, in either fusion", async () => {
  for (const fusion of ["min-ce", "avg-ce"] as const) {
    const metrics = await run({
      ...common,
      data: withTeacher(data),
      fusion,
      steps: 30,
      lmWeight: 0.2,
      loss: "kl",
      temperature: 2,
    });
    const distances = metrics.map(({ distance }) => distance);
    assert.ok(distances.at(-1)! < 0.8 * distances[0]!, distances.join(" "));
    assert.ok(
      metrics.every(({ loss, crossEntropy, distance }) =>
        loss === crossEntropy + distance
      ),
    );
  }
});

Deno.test("train() comes closer to a teacher by a loss outside the graph", async () => {
  // `auto` is the GPU where there is one.
  for (const lossOn of ["cpu", "auto"] as const) {
    const metrics = await run({
      ...common,
      data: withTeacher(data),
      steps: 30,
      lmWeight: 0.2,
      loss: "kl",
      residual: "spread",
      lossOn,
    });
    const distances = metrics.map(({ distance }) => distance);
    assert.ok(distances.at(-1)! < 0.8 * distances[0]!, distances.join(" "));
  }
});

Deno.test("train() takes a loss of tokens matched and unmatched", async () => {
  const [metrics] = await run({
    ...common,
    steps: 1,
    data: withTeacher(data),
    loss: "gold",
    matched: Uint32Array.from({ length: model.vocabSize }, (_, i) => i % 2),
    lossOn: "cpu",
  });
  assert.ok(metrics!.distance > 0);
});

Deno.test("train() comes closer to a teacher's likelihoods of chunks", async () => {
  const metrics = await run({
    ...common,
    data: withTeacher(data),
    steps: 30,
    lmWeight: 0.2,
    loss: "alm",
    lossOn: "cpu",
  });
  const distances = metrics.map(({ distance }) => distance);
  assert.ok(distances.at(-1)! < 0.8 * distances[0]!, distances.join(" "));
});

Deno.test("train() learns from labels alone where the target is the only teacher", async () => {
  const taught = withTeacher(data, "target");
  const [plain] = await run({ ...common, steps: 1, data: taught });
  assert.equal(plain!.distance, 0);
  const [asked] = await run({
    ...common,
    steps: 1,
    data: taught,
    teachers: ["target"],
  });
  assert.ok(asked!.distance > 0);
});

Deno.test("train() learns from a teacher that has half as many tokens", async () => {
  const { vocabSize } = model;
  const halves = Uint32Array.from({ length: vocabSize }, (_, v) => v >> 1);
  const projection = {
    vocabSize: (vocabSize + 1) >> 1,
    offsets: Uint32Array.from({ length: vocabSize + 1 }, (_, v) => v),
    ids: halves,
    weights: new Float32Array(vocabSize).fill(1),
  };
  const taught = withTeacher(data);
  const plan = {
    ...common,
    data: {
      ...taught,
      sourceTokens: {
        source: { vocabSize: projection.vocabSize, tokenizer: "" },
      },
      async read(index: number) {
        const row = await taught.read(index);
        const { source } = row.teachers;
        const topkIds = source!.topkIds.map((id) => id < 0 ? id : id >> 1);
        return { ...row, teachers: { source: { ...source!, topkIds } } };
      },
    },
    ...{ steps: 30, lmWeight: 0, teachers: ["source"], projection },
    ...{ loss: "p-kl", lossOn: "cpu" } as const,
  };
  const metrics = await run(plan);
  const distances = metrics.map(({ distance }) => distance);
  assert.ok(distances.at(-1)! < 0.8 * distances[0]!, distances.join(" "));
  await assert.rejects(
    run({ ...plan, lmWeightSchedule: "adaptive" }),
    /lmWeightSchedule is adaptive and loss p-kl, expected another/,
  );
});

Deno.test("train() tempers both sides, or the teachers alone where that is as published", async () => {
  const plan = {
    ...{ ...common, steps: 1, data: withTeacher(data), temperature: 2 },
  };
  const [both] = await run(plan);
  const defects = switchesOf(trainDefects, ["teacher-temperature"]);
  const [alone] = await run({ ...plan, defects });
  // Fresh weights predict evenly at any temperature: all that is left is T².
  assertAllClose([alone!.distance], [both!.distance / 4], {
    rtol: 0.02,
    atol: 0,
  });
  await assert.rejects(
    run({ ...plan, defects: switchesOf(trainDefects, ["all"]), fusion: "sum" }),
    new RangeError(
      "Cannot train: loss-per-token is as published and fusion is sum, " +
        "expected min-ce or avg-ce",
    ),
  );
});

Deno.test("train() keeps its memory over many updates", async () => {
  const samples: number[] = [];
  const plan = { ...common, out: fresh(), steps: 1200, batchSize: 1 };
  for await (const { step } of train(plan)) {
    if (step % 300 === 0) samples.push(Deno.memoryUsage().rss / 2 ** 20);
  }
  // One leaked set of gradients and logits an update would come to 60 MiB.
  assert.ok(samples[3]! - samples[0]! < 30, `${samples.map(Math.round)} MiB`);
});

async function run(plan: Omit<TrainPlan, "out"> & { out?: string }) {
  return await Array.fromAsync(train({ out: fresh(), ...plan }));
}

let runs = 0;
function fresh(): string {
  return join(directory, `run-${runs++}`);
}

function lossesOf(metrics: { loss: number }[]): number[] {
  return metrics.map(({ loss }) => loss);
}

function normsOf(metrics: { gradNorm: number }[]): number[] {
  return metrics.map(({ gradNorm }) => gradNorm);
}

/** A teacher who knows the next word half of the time, at every second row. */
function withTeacher(data: TrainingData, name = "source"): TrainingData {
  const topK = 2;
  return {
    ...data,
    teachers: { [name]: topK },
    async read(index) {
      const row = await data.read(index);
      const teacher = {
        topK,
        topkIds: Int32Array.from(
          [...row.labels].flatMap((label) => [Math.max(0, label), -1]),
        ),
        topkLogprobs: Float32Array.from(
          [...row.labels].flatMap(() => [Math.log(0.5), -Infinity]),
        ),
        weight: Float32Array.from(row.labels, (_, t) => t % 2),
        bitsPerByte: new Float32Array(row.labels.length).fill(1),
        labelLogprobs: Float32Array.from(
          row.labels,
          (_, t) => t % 2 ? Math.log(0.25) : NaN,
        ),
      };
      return { ...row, teachers: { [name]: teacher } };
    },
  };
}

async function weightBytes(out: string): Promise<number[][]> {
  const { weights } = await openCheckpoint(out);
  return await Promise.all(
    Array.from(weights.values(), async (info) => [...await readWeight(info)]),
  );
}

async function loggedLosses(out: string): Promise<string[]> {
  const text = await Deno.readTextFile(join(out, "metrics.jsonl"));
  return text.trim().split("\n").map((line) =>
    line.match(/"step":\d+|"loss":[^,]+/g)!.join(" ")
  );
}

async function existsWithin(path: string, prefix: string): Promise<boolean> {
  const names = await Array.fromAsync(Deno.readDir(path), ({ name }) => name)
    .catch(() => []);
  return names.some((name) =>
    name.startsWith(prefix) && !name.endsWith(".tmp")
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function fixtures(): Promise<{
  model: ModelSource;
  data: TrainingData;
  validation: TrainingData;
}> {
  const files = {
    "train.txt": tinyText(0, 120),
    "held.txt": tinyText(1000, 120),
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(join(directory, name), text);
  }
  const path = join(directory, "model");
  const tokenizer = await makeTinyModel(path);
  const open = (name: keyof typeof files, split: "train" | "validation") =>
    openTrainingData([join(directory, name)], { tokenizer, length: 32, split });
  return {
    model: await openModel({ model: path, fromScratch: true }),
    data: await open("train.txt", "train"),
    validation: await open("held.txt", "validation"),
  };
}

Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));
