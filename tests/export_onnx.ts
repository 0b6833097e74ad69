import { encodeModel, type Initializer, reshape, Tape } from "#/onnx/mod.ts";
import { openCheckpoint } from "#/models/checkpoint.ts";
import { freeze } from "#/models/frozen.ts";
import { Trace } from "#/models/trace.ts";

/**
 * Write one of our graphs as an export that transformers.js runs: onnx/model.onnx
 * and config.json.
 *
 * @param directory The model directory.
 * @param out Directory of the export.
 * @param isLinked Whether the weights are a link named model.onnx_data, as in the
 * Hugging Face cache, instead of part of the model.
 */
export async function exportOnnx(
  directory: string,
  out: string,
  isLinked = false,
): Promise<void> {
  const checkpoint = await openCheckpoint(directory);
  const tape = new Tape();
  const { model, weights } = freeze(tape, checkpoint);
  const shape = ["B", "T"];
  const ids = tape.input("input_ids", "int64", shape);
  tape.input("attention_mask", "int64", shape);
  const positions = tape.input("position_ids", "int64", shape);
  const trace = new Trace({ ids, positions, weights });
  let x = model.embed(trace);
  for (let layer = 0; layer < model.layers; layer++) {
    x = model.block(trace, x, layer);
  }
  const logits = model.logits(trace, x);
  tape.output(reshape(logits, [...shape, model.vocabSize]), "logits");
  const graph = tape.model();
  const initializers = await Promise.all(
    graph.initializers.map((each) => isLinked ? relocate(each) : embed(each)),
  );
  await Deno.mkdir(`${out}/onnx`, { recursive: true });
  if (isLinked) {
    await Deno.symlink(
      `${directory}/model.safetensors`,
      `${out}/onnx/model.onnx_data`,
    );
  }
  await Deno.writeFile(
    `${out}/onnx/model.onnx`,
    encodeModel({ ...graph, initializers }),
  );
  await Deno.copyFile(`${directory}/config.json`, `${out}/config.json`);
}

async function embed(initializer: Initializer): Promise<Initializer> {
  const { data } = initializer;
  if (data instanceof Uint8Array) return initializer;
  const file = await Deno.readFile(`/${data.location}`);
  const { offset, length } = data;
  return { ...initializer, data: file.slice(offset, offset + length) };
}

function relocate(initializer: Initializer): Initializer {
  const { data } = initializer;
  if (data instanceof Uint8Array) return initializer;
  return { ...initializer, data: { ...data, location: "model.onnx_data" } };
}
