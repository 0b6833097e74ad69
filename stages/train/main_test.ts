import assert from "node:assert/strict";
import { join } from "node:path";
import { openCheckpoint } from "#/models/mod.ts";
import { call } from "#/stages/command.ts";
import { command } from "#/stages/train/main.ts";
import { makeTinyModel, tinyText } from "#/tests/tiny_language.ts";

const directory = await Deno.makeTempDir({ prefix: "pta-train-main-test-" });
const at = (name: string) => join(directory, name);
await makeTinyModel(at("model"));
await Deno.writeTextFile(at("train.txt"), tinyText(0, 60));
await Deno.writeTextFile(at("held.txt"), tinyText(500, 10));

Deno.test("pta train makes a model of a config, a tokenizer and text", async () => {
  const { text, lines } = await call(command, [
    ...["train", "--config", at("model/config.json")],
    ...["--tokenizer", at("model"), "--data", at("train.txt"), at("held.txt")],
    ...["--validation", at("held.txt"), "--out", at("made")],
    ...["--steps", "3", "--threads", "1", "--dtype", "bf16"],
    ...["--batch-size", "2", "--length", "32"],
  ]);
  const [line] = lines as Record<string, number>[];
  assert.deepEqual([line!.steps, line!.skipped], [3, false]);
  assert.ok(line!.validation_bits_per_byte! > 0);
  assert.match(text, /llama after 3 steps and \d+ tokens .* bits per byte/);
  const { weights } = await openCheckpoint(at("made"));
  assert.ok([...weights.values()].every(({ dtype }) => dtype === "BF16"));
  const metrics = await Deno.readTextFile(at("made/metrics.jsonl"));
  const logged = metrics.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(logged.map(({ step }) => step), [1, 2, 3]);
  assert.equal(logged[2].loss, line!.loss);
  assert.equal(logged[2].validation_loss, line!.validation_loss);
});

Deno.test("pta train goes on from a trained model, and does nothing twice", async () => {
  const args = [
    ...["train", "--model", at("made"), "--data", at("train.txt")],
    ...["--out", at("more"), "--epochs", "0.5", "--threads", "1", "--resume"],
    ...["--recompute", "--epsilon", "1e-6"],
  ];
  const { lines: [first] } = await call(command, args);
  assert.ok((first as { steps: number }).steps >= 1);
  const { lines: [second] } = await call(command, args);
  assert.deepEqual(second, { out: at("more"), skipped: true });
});

Deno.test("pta train says what it cannot do", async () => {
  const train = (...args: string[]) =>
    call(command, ["train", "--data", at("train.txt"), ...args]);
  await assert.rejects(
    train("--model", at("model"), "--out", at("failed")),
    /Cannot .*model\.safetensors/,
  );
  await assert.rejects(
    train("--out", at("failed")),
    /expected a model directory, or a config and a tokenizer/,
  );
  await assert.rejects(
    train("--model", at("made"), "--out", at("made")),
    /Cannot train into .*made: it exists/,
  );
  await assert.rejects(
    train("--config", at("none"), "--tokenizer", at("model"), "--out", at("x")),
    /Cannot read config .*none: there is no such file/,
  );
  await assert.rejects(
    train("--model", at("made"), "--out", at("failed"), "--fusion", "max-ce"),
    /max-ce/,
  );
});

Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));
