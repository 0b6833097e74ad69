import assert from "node:assert/strict";
import { openCheckpoint } from "#/models/checkpoint.ts";
import { readWeight } from "#/models/safetensors.ts";
import { saveCheckpoint } from "#/models/save_checkpoint.ts";

const root = await Deno.makeTempDir();
const golden = new URL("../../shared/golden/models/", import.meta.url).pathname;
const hasGolden = await Deno.stat(golden).then(() => true, () => false);
const config = { model_type: "llama", vocab_size: 7, n_positions: 16 };
const weights = new Map(
  ["a", "b", "c"].map((name, i) => [name, {
    shape: [2, 3],
    data: Float32Array.from({ length: 6 }, (_, j) => i + j / 8),
  }]),
);

function list(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}

Deno.test("openCheckpoint() gives back what saveCheckpoint() saved, in one file or shards", async () => {
  const directory = `${root}/saved/`;
  for (const maxShardBytes of [1e9, 24, 48, 1e9]) {
    await saveCheckpoint(directory, config, weights, { maxShardBytes });
    const checkpoint = await openCheckpoint(directory);
    assert.equal(checkpoint.modelType, "llama");
    assert.equal(checkpoint.vocabSize, 7);
    assert.equal(checkpoint.contextLength, 16);
    assert.deepEqual(checkpoint.config, { ...config, torch_dtype: "float32" });
    assert.deepEqual([...checkpoint.weights.keys()], ["a", "b", "c"]);
    for (const [name, { shape, data }] of weights) {
      const info = checkpoint.weights.get(name)!;
      assert.deepEqual(info.shape, shape);
      assert.deepEqual(await readWeight(info), data);
    }
  }
  assert.deepEqual(list(directory), ["config.json", "model.safetensors"]);
  assert.deepEqual(list(root), ["saved"]);
});

Deno.test("saveCheckpoint() states the stored type in config.json", async () => {
  const directory = `${root}/bf16`;
  await saveCheckpoint(directory, { ...config, dtype: "float16" }, weights, {
    dtype: "bf16",
    maxShardBytes: 30,
  });
  const checkpoint = await openCheckpoint(directory);
  assert.equal(checkpoint.config.dtype, "bfloat16");
  assert.equal(checkpoint.weights.get("c")!.dtype, "BF16");
  const index = JSON.parse(
    await Deno.readTextFile(`${directory}/model.safetensors.index.json`),
  );
  assert.equal(index.metadata.total_size, 36);
  assert.equal(index.weight_map.c, "model-00002-of-00002.safetensors");
});

Deno.test("openCheckpoint() follows the links of a Hugging Face cache", async () => {
  const model = `${root}/models--org--name`;
  await saveCheckpoint(`${root}/plain`, config, weights);
  await Deno.mkdir(`${model}/snapshots/main`, { recursive: true });
  await Deno.mkdir(`${model}/blobs`);
  for (const name of ["config.json", "model.safetensors"]) {
    await Deno.rename(`${root}/plain/${name}`, `${model}/blobs/${name}.blob`);
    await Deno.symlink(
      `../../blobs/${name}.blob`,
      `${model}/snapshots/main/${name}`,
    );
  }
  const checkpoint = await openCheckpoint(`${model}/snapshots/main`);
  const data = await readWeight(checkpoint.weights.get("b")!);
  assert.deepEqual(data, weights.get("b")!.data);
});

Deno.test("openCheckpoint() says what is missing or wrong", async () => {
  const directory = `${root}/broken`;
  await Deno.mkdir(directory);
  const put = (name: string, value: unknown) =>
    Deno.writeTextFile(
      `${directory}/${name}`,
      typeof value === "string" ? value : JSON.stringify(value),
    );
  const refuses = (what: string) =>
    assert.rejects(openCheckpoint(directory), (error: Error) => {
      assert.equal(error.message, what.replace("DIR", directory));
      return true;
    });

  await refuses("Cannot open model DIR: it has no config.json");
  await put("config.json", "{");
  await refuses("Cannot read DIR/config.json: it is not JSON");
  await put("config.json", "3");
  await refuses("Cannot read DIR/config.json: it is not a JSON object");
  await put("config.json", { vocab_size: 3 });
  await refuses("Cannot open model DIR: config.json has no model_type");
  await put("config.json", { model_type: "llama", vocab_size: "3" });
  await refuses(
    "Cannot open model DIR: vocab_size in config.json is 3, " +
      "expected a positive integer",
  );
  await put("config.json", config);
  await put("pytorch_model.bin", "");
  await refuses(
    "Cannot open model DIR: it has neither model.safetensors nor " +
      "model.safetensors.index.json, only pytorch_model.bin",
  );
  const index = "model.safetensors.index.json";
  await put(index, {});
  await refuses(`Cannot read DIR/${index}: it has no weight_map`);
  await put(index, { weight_map: { a: "../a.safetensors" } });
  await refuses(
    `Cannot read DIR/${index}: it names the shard "../a.safetensors", ` +
      "expected a file of its directory",
  );
  await put(index, { weight_map: { a: "a.safetensors" } });
  await refuses(`Cannot read DIR/${index}: its shard a.safetensors is missing`);
  await saveCheckpoint(`${root}/other`, config, weights);
  await Deno.rename(
    `${root}/other/model.safetensors`,
    `${directory}/a.safetensors`,
  );
  await put(index, { weight_map: { a: "a.safetensors", z: "a.safetensors" } });
  await refuses(
    `Cannot read DIR/${index}: weight "z" is not in its shard a.safetensors`,
  );
});

Deno.test({
  name: "openCheckpoint() opens every golden model" +
    (hasGolden ? "" : " (skipped: shared/golden absent)"),
  ignore: !hasGolden,
  async fn() {
    for await (const { name } of Deno.readDir(golden)) {
      const checkpoint = await openCheckpoint(golden + name);
      assert.equal(checkpoint.vocabSize, checkpoint.config.vocab_size);
      assert.ok(checkpoint.contextLength >= 64);
      const dtype = name === "llama_bf16" ? "BF16" : "F32";
      for (const info of checkpoint.weights.values()) {
        assert.equal(info.dtype, dtype);
        const data = await readWeight(info);
        assert.ok(data.every(Number.isFinite));
      }
    }
  },
});

Deno.test.afterAll(() => Deno.remove(root, { recursive: true }));
