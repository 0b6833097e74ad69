import assert from "node:assert/strict";
import { join } from "node:path";
import { datasets, hashInput, writeDataset } from "#/shards/mod.ts";
import { tokenizerFiles } from "#/stages/tokenizer_files.ts";
import { openModel } from "#/stages/train/model_source.ts";
import {
  projectionOf,
  readProjection,
} from "#/stages/train/read_projection.ts";
import { makeTinyModel } from "#/tests/tiny_language.ts";

const image = (sourceId: number, targetId: number, weight: number) => ({
  ...{ sourceId, targetId, weight, distance: 1 },
});

Deno.test("projectionOf() gathers images by the model's token", async () => {
  const images = [image(2, 4, 0.5), image(0, 1, 1), image(2, 0, 0.5)];
  const projection = await projectionOf([...images, image(1, 3, 0)], 4);
  assert.deepEqual(projection, {
    vocabSize: 5,
    offsets: Uint32Array.of(0, 1, 1, 3, 3),
    ids: Uint32Array.of(1, 4, 0),
    weights: Float32Array.of(1, 0.5, 0.5),
  });
});

Deno.test("readProjection() takes a mapping from the model to the teacher", async () => {
  const directory = await Deno.makeTempDir({ prefix: "pta-projection-test-" });
  const at = (name: string) => join(directory, name);
  await makeTinyModel(at("model"));
  await makeTinyModel(at("teacher"));
  await Deno.writeTextFile(
    at("teacher/tokenizer_config.json"),
    JSON.stringify({ bos_token: "a" }),
  );
  const write = async (out: string, target: string, source: string) => {
    await writeDataset({
      out: at(out),
      stage: "map-vocab",
      options: {},
      inputs: {
        target: tokenizerFiles(at(target)),
        source: tokenizerFiles(at(source)),
      },
      schema: datasets.vocabMappings,
    }, () => [image(0, 2, 1)]);
  };
  const model = await openModel({ model: at("model"), fromScratch: true });
  const tokenizer = await hashInput(tokenizerFiles(at("teacher")));
  const teacher = { vocabSize: 9, tokenizer };
  await write("right", "teacher", "model");
  const { vocabSize, ids } = await readProjection(at("right"), model, teacher);
  assert.deepEqual([vocabSize, ...ids], [9, 2]);
  await write("swapped", "model", "teacher");
  await assert.rejects(
    readProjection(at("swapped"), model, teacher),
    /its source is another tokenizer, and its target is the model's, expected/,
  );
  await write("other", "model", "model");
  await assert.rejects(
    readProjection(at("other"), model, teacher),
    /its target is another tokenizer, expected that of the teacher in the data/,
  );
  await Deno.remove(directory, { recursive: true });
});
