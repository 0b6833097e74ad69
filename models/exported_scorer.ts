import { join, resolve } from "node:path";
import type { Device } from "#/onnx/mod.ts";
import { architectures } from "./architectures.ts";
import { INDEX, isPresent, readConfig, SINGLE } from "./checkpoint.ts";
import type { StorageDtype } from "./dtypes.ts";
import type { RunOptions, Scorer, TopLogprobs } from "./scorer.ts";
import { topLogprobsOf } from "./top_logprobs.ts";

/** Endings of an export's file name, the most exact first, and what transformers.js calls them. */
const PRECISIONS = {
  "": "fp32",
  _fp16: "fp16",
  _quantized: "q8",
  _int8: "int8",
  _uint8: "uint8",
  _q4: "q4",
  _q4f16: "q4f16",
  _bnb4: "bnb4",
} as const;

const NAMES = { f32: "fp32", f16: "fp16", bf16: "bf16" } as const;

/** An ONNX export in a model directory. */
export interface ModelExport {
  /** The file, below `onnx/`. */
  name: string;
  /** Its precision, as transformers.js calls it. */
  dtype: (typeof PRECISIONS)[keyof typeof PRECISIONS];
}

/**
 * Find the ONNX export that a model is to be run from: where its architecture is
 * not ours or it has no safetensors. Of several the most exact is taken.
 *
 * @param directory The model directory.
 * @param dtype Take only an export of this type.
 * @returns The export; `undefined` if the model runs from its safetensors, or
 * there is none.
 * @throws {RangeError} If there are exports, but none of this type.
 */
export async function findExport(
  directory: string,
  dtype: StorageDtype = "f32",
): Promise<ModelExport | undefined> {
  const { modelType } = await readConfig(directory);
  const hasWeights = await isPresent(join(directory, SINGLE)) ||
    await isPresent(join(directory, INDEX));
  if (hasWeights && Object.hasOwn(architectures, modelType)) return undefined;
  const found: ModelExport[] = [];
  for (const [ending, precision] of Object.entries(PRECISIONS)) {
    const name = `model${ending}.onnx`;
    if (await isPresent(join(directory, "onnx", name))) {
      found.push({ name, dtype: precision });
    }
  }
  if (dtype === "f32" || found.length === 0) return found[0];
  const half = found.find(({ dtype: type }) => type === NAMES[dtype]);
  if (half) return half;
  throw new RangeError(
    `Cannot run ${directory} in ${dtype}: it has only ` +
      found.map(({ name }) => `onnx/${name}`).join(", "),
  );
}

/**
 * Open an ONNX export for scoring, with transformers.js: for models of other
 * architectures than ours.
 *
 * @param directory The model directory.
 * @param found The export in it.
 * @param options See {@linkcode RunOptions}.
 * @returns The scorer, to be closed by the caller.
 * @throws {Error} If transformers.js does not know the architecture, or cannot
 * run the export.
 */
export async function openExportedScorer(
  directory: string,
  found: ModelExport,
  options: RunOptions = {},
): Promise<Scorer> {
  const { vocabSize, contextLength } = await readConfig(directory);
  const model = await loadModel(directory, found, options);
  const logits = async (
    inputIds: Int32Array,
    batch: number,
    length: number,
  ) => {
    const { data, dims } = await forward(model, inputIds, batch, length);
    if (dims.join() === [batch, length, vocabSize].join()) return data;
    throw new RangeError(
      `Cannot score with onnx/${found.name} of ${directory}: its logits are ` +
        `[${dims.join(", ")}], expected [${batch}, ${length}, ${vocabSize}]`,
    );
  };
  const close = async () => void await model.dispose();
  return {
    vocabSize,
    contextLength,
    logits,
    async topLogprobs(inputIds, batch, length, topK): Promise<TopLogprobs> {
      const all = await logits(inputIds, batch, length);
      return topLogprobsOf(all, inputIds, { batch, length, vocabSize, topK });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

type Transformers = typeof import("@huggingface/transformers");
type Loaded = Awaited<
  ReturnType<Transformers["AutoModelForCausalLM"]["from_pretrained"]>
>;

async function loadModel(
  directory: string,
  { name, dtype }: ModelExport,
  { device = "auto", threads }: RunOptions,
): Promise<Loaded> {
  const { AutoModelForCausalLM, env } = await import(
    "@huggingface/transformers"
  );
  env.allowRemoteModels = false;
  env.useFSCache = false;
  try {
    return await AutoModelForCausalLM.from_pretrained(resolve(directory), {
      dtype,
      device: providerOf(device),
      local_files_only: true,
      use_external_data_format: false,
      session_options: {
        logSeverityLevel: 3,
        ...(threads && { intraOpNumThreads: threads }),
        ...await externalData(join(directory, "onnx"), name),
      },
    });
  } catch (cause) {
    throw new Error(`Cannot run onnx/${name} of ${directory}`, { cause });
  }
}

function providerOf(device: Device): "cpu" | "cuda" | "webgpu" {
  return device === "auto" ? "cpu" : device;
}

/**
 * Weights beside an export that lie elsewhere, as in the Hugging Face cache,
 * where names are links: onnxruntime does not follow those, so they are read.
 */
async function externalData(folder: string, name: string) {
  const externalData: { path: string; data: Uint8Array }[] = [];
  for await (const { name: path, isSymlink } of Deno.readDir(folder)) {
    if (!isSymlink || !path.startsWith(`${name}_data`)) continue;
    externalData.push({ path, data: await Deno.readFile(join(folder, path)) });
  }
  return externalData.length ? { externalData } : {};
}

async function forward(
  model: Loaded,
  inputIds: Int32Array,
  batch: number,
  length: number,
): Promise<{ data: Float32Array; dims: number[] }> {
  const { Tensor } = await import("@huggingface/transformers");
  const int64 = (entries: Iterable<number>) =>
    new Tensor("int64", BigInt64Array.from(entries, BigInt), [batch, length]);
  const { logits } = await model.forward({
    input_ids: int64(inputIds),
    // Padding is on the right, where no token that counts attends to it.
    attention_mask: int64(new Int8Array(batch * length).fill(1)),
  });
  const { data, dims } = logits.to("float32");
  return { data: data as Float32Array, dims };
}
