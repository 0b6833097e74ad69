import * as ort from "onnxruntime-node";
import { parse } from "node:path";
import type { ExternalData, TensorType } from "./model.ts";
import {
  type Device,
  explainFailure,
  hasCudaProvider,
  resolveDevice,
} from "./devices.ts";

/** Arrays that hold a tensor's entries; bool is `Uint8Array`. */
export type TensorData =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Float16Array;

/** What goes in and out of a {@linkcode Session}. Its array is not copied. */
export interface Tensor {
  /** Element type. */
  readonly type: TensorType;
  /** Shape. */
  readonly dims: readonly number[];
  /** Entries, row-major; must not lie in a `SharedArrayBuffer`. */
  readonly data: TensorData;
}

/** How {@linkcode createSession} runs a model. */
export interface SessionOptions {
  /** Where; "auto", the default, is CUDA where its provider is installed, else the CPU. */
  device?: Device;
  /** Threads on the CPU; by default one a core. Results depend on it in the last bits. */
  threads?: number;
  /** Compute constant subgraphs once, at the price of holding them, such as weights in f32. */
  foldConstants?: boolean;
}

/**
 * A model ready to run. Close it: what it holds is not garbage-collected.
 *
 * A run is synchronous on the calling thread; long ones belong into a Worker.
 */
export class Session implements AsyncDisposable {
  readonly #session: ort.InferenceSession;

  /**
   * Use {@linkcode createSession}.
   *
   * @param session onnxruntime's session.
   */
  constructor(session: ort.InferenceSession) {
    this.#session = session;
  }

  /** Names of all inputs. */
  get inputs(): readonly string[] {
    return this.#session.inputNames;
  }

  /** Names of all outputs. */
  get outputs(): readonly string[] {
    return this.#session.outputNames;
  }

  /**
   * Run the model once.
   *
   * @param feeds A tensor for every input.
   * @param fetches Names of the outputs wanted, or by name the tensors to write
   * them to (which may be the arrays of inputs, where a node reads only what it
   * writes), null for a new one; all outputs by default.
   * @returns The outputs, by name.
   * @throws {TypeError} If a tensor does not fit the model.
   * @throws {Error} If onnxruntime cannot run it.
   */
  async run(
    feeds: Readonly<Record<string, Tensor>>,
    fetches: readonly string[] | Readonly<Record<string, Tensor | null>> =
      this.outputs,
  ): Promise<Record<string, Tensor>> {
    const wanted = Array.isArray(fetches)
      ? Object.fromEntries(fetches.map((name) => [name, null]))
      : mapTensors(fetches as Record<string, Tensor | null>);
    const outputs = {
      ...await this.#session.run(mapTensors<never>(feeds), wanted),
    } as unknown as Record<string, Tensor>;
    for (const [name, given] of Object.entries(fetches)) {
      if (Array.isArray(fetches) || !given) continue;
      freeCopy(outputs[name]!, given);
      outputs[name] = given;
    }
    return outputs;
  }

  /**
   * Run the model once and add what comes out to what is there.
   *
   * @param feeds A tensor for every input.
   * @param sums By output, f32 tensors to add it to.
   * @param others Names of further outputs wanted.
   * @returns The sums and those.
   * @throws {TypeError} If a tensor does not fit the model.
   * @throws {Error} If onnxruntime cannot run it.
   */
  async runAdding(
    feeds: Readonly<Record<string, Tensor>>,
    sums: Readonly<Record<string, Tensor>>,
    others: readonly string[] = [],
  ): Promise<Record<string, Tensor>> {
    const outputs = await this.run(feeds, [...Object.keys(sums), ...others]);
    for (const [name, sum] of Object.entries(sums)) {
      const [into, more] = [sum.data, outputs[name]!.data] as Float32Array[];
      for (let i = 0; i < into!.length; i++) into![i]! += more![i]!;
      (more!.buffer as ArrayBuffer).transfer(0);
      outputs[name] = sum;
    }
    return outputs;
  }

  /** Free what the session holds. */
  async close(): Promise<void> {
    await this.#session.release();
  }

  /** Free what the session holds. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Make a model ready to run.
 *
 * @param model Bytes of an .onnx file.
 * @param options See {@linkcode SessionOptions}.
 * @returns The session, to be closed by the caller.
 * @throws {Error} If the device cannot be used, naming what is missing and the
 * cure; nothing falls back silently. If onnxruntime does not accept the model.
 */
export async function createSession(
  model: Uint8Array,
  options: SessionOptions = {},
): Promise<Session> {
  const { threads, foldConstants } = options;
  const device = resolveDevice(options.device);
  // onnxruntime would say so as well, but also write to stderr.
  if (device === "cuda" && !hasCudaProvider()) throw explainFailure(device);
  try {
    return new Session(
      await ort.InferenceSession.create(model, {
        executionProviders: [device],
        // Plans for one shape cost memory (1200 instead of 794 MB) and no time is won.
        enableMemPattern: false,
        logSeverityLevel: 3,
        ...threads && { intraOpNumThreads: threads },
        extra: {
          session: {
            // A weight read by a forward and a backward product is packed twice.
            disable_prepacking: "1",
            model_external_initializers_file_folder_path:
              parse(Deno.cwd()).root,
          },
          ...!foldConstants && {
            optimization: { disable_specified_optimizers: "ConstantFolding" },
          },
        },
      }),
    );
  } catch (error) {
    throw explainFailure(device, error);
  }
}

/**
 * Where a file's bytes lie, for `Tape.external`.
 *
 * @param path Absolute path of the file.
 * @param offset First byte.
 * @param length Number of bytes.
 * @returns Its place relative to the root, the folder that sessions resolve by:
 * paths in ONNX must be relative and stay inside of one folder.
 */
export function externalData(
  path: string,
  offset: number,
  length: number,
): ExternalData {
  return { location: path.slice(parse(path).root.length), offset, length };
}

/**
 * The binding copies what it wrote into a caller's array, to return it. Copies of
 * all gradients add up to gigabytes until they are collected.
 */
function freeCopy({ data: { buffer: copy } }: Tensor, given: Tensor): void {
  if (copy !== given.data.buffer) (copy as ArrayBuffer).transfer(0);
}

function mapTensors<Missing extends null>(
  tensors: Readonly<Record<string, Tensor | Missing>>,
): Record<string, ort.Tensor | Missing> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [
      name,
      tensor && toOrt(tensor),
    ]),
  ) as Record<string, ort.Tensor | Missing>;
}

function toOrt({ type, dims, data }: Tensor): ort.Tensor {
  // The binding takes 16-bit floats as plain objects only, under Deno.
  if (type === "float16") {
    return { type, dims, data, location: "cpu" } as unknown as ort.Tensor;
  }
  return new ort.Tensor(type as "float32", data as Float32Array, dims);
}
