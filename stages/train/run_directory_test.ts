import assert from "node:assert/strict";
import { join } from "node:path";
import {
  RunDirectory,
  type TrainerState,
} from "#/stages/train/run_directory.ts";

const state = (step: number): TrainerState => ({
  step,
  steps: 9,
  seed: 0,
  dataCursor: step,
  tokens: step,
  seconds: 0,
  options: { learningRate: 1 },
});

Deno.test("RunDirectory.open() refuses a directory that is in use", async () => {
  await inDirectory(async (path) => {
    const { run } = await RunDirectory.open(path, false);
    await RunDirectory.open(path, false); // what failed at once left nothing
    await run.log({ step: 1, time: 0 });
    await assert.rejects(
      RunDirectory.open(path, false),
      new Error(
        `Cannot train into ${path}: it exists, expected a new directory, or ` +
          "--resume to go on",
      ),
    );
  });
});

Deno.test("RunDirectory.open() cuts metrics back to the last checkpoint", async () => {
  await inDirectory(async (path) => {
    const { run } = await RunDirectory.open(path, false);
    for (let step = 1; step <= 5; step++) {
      await run.log({ step, loss: 10 - step, time: step });
      if (step % 2 === 0) await run.save(state(step), 1, writeModel);
    }
    await Deno.writeTextFile(join(path, "metrics.jsonl"), '{"step":6,"lo', {
      append: true,
    });
    await Deno.mkdir(join(path, "checkpoint-6.tmp"));

    const { run: resumed, last } = await RunDirectory.open(path, true);
    assert.deepEqual(last, {
      directory: join(path, "checkpoint-4"),
      state: state(4),
    });
    assert.deepEqual(await stepsIn(path), [1, 2, 3, 4]);
    await resumed.log({ step: 5, loss: 5, time: 5 });
    assert.deepEqual(await stepsIn(path), [1, 2, 3, 4, 5]);
    const names = await namesIn(path);
    assert.deepEqual(
      names.filter((name) => !name.startsWith("events.")),
      ["checkpoint-4", "metrics.jsonl"],
    );
    assert.equal(names.length, 3);
  });
});

Deno.test("RunDirectory.save() keeps the newest checkpoints", async () => {
  await inDirectory(async (path) => {
    const { run } = await RunDirectory.open(path, false);
    for (const step of [8, 9, 10, 11]) {
      await run.save(state(step), 2, writeModel);
    }
    const names = await namesIn(path);
    assert.deepEqual(
      names.filter((name) => name.startsWith("checkpoint")),
      ["checkpoint-10", "checkpoint-11"],
    );
  });
});

Deno.test("RunDirectory.save() leaves no checkpoint that could not be written", async () => {
  await inDirectory(async (path) => {
    const { run } = await RunDirectory.open(path, false);
    await run.save(state(1), 1, writeModel);
    const full = () => Promise.reject(new Error("no space left on device"));
    await assert.rejects(run.save(state(2), 1, full), /no space left/);
    const { last } = await RunDirectory.open(path, true);
    assert.equal(last?.state.step, 1);
    assert.ok(!(await namesIn(path)).includes("checkpoint-2.tmp"));
  });
});

Deno.test("RunDirectory.open() says that a file is in the way", async () => {
  const file = new URL(import.meta.url).pathname;
  await assert.rejects(RunDirectory.open(file, false), {
    message:
      `Cannot train into ${file}: it is a file, expected a new directory`,
  });
});

async function writeModel(directory: string): Promise<void> {
  await Deno.writeTextFile(join(directory, "config.json"), "{}");
}

async function stepsIn(path: string): Promise<number[]> {
  const text = await Deno.readTextFile(join(path, "metrics.jsonl"));
  return text.trim().split("\n").map((line) => JSON.parse(line).step);
}

async function namesIn(path: string): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
  return names.sort();
}

async function inDirectory(
  body: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    await body(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}
