import {
  cast,
  createSession,
  encodeModel,
  gather,
  reshape,
  type Session,
  Tape,
  type Tensor,
} from "#/onnx/mod.ts";
import type { Model } from "./architectures.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { freeze, naming } from "./frozen.ts";
import { precision, type RunOptions } from "./run_options.ts";
import { type PastKeyValues, Trace } from "./trace.ts";

/** Predicts one token after another, keeping keys and values of those before. */
export interface Generator extends AsyncDisposable {
  /** Width V of the logits. */
  readonly vocabSize: number;
  /** Longest sequence. */
  readonly contextLength: number;
  /**
   * Begin a sequence.
   *
   * @param ids Its first tokens, at least one.
   * @returns Logits `[V]` of the token after them.
   */
  prefill(ids: ArrayLike<number>): Promise<Float32Array>;
  /**
   * Go on by one token.
   *
   * @param id The token.
   * @returns Logits `[V]` of the token after it.
   */
  next(id: number): Promise<Float32Array>;
  /** Free what it holds. */
  close(): Promise<void>;
}

/**
 * Open a model for generation. Weights stored in 16 bits are converted once.
 *
 * @param directory The model directory.
 * @param options See {@linkcode RunOptions}.
 * @returns The generator, to be closed by the caller.
 * @throws {RangeError} If the model is not supported, or a sequence outgrows its context.
 * @throws {Error} If the device cannot be used.
 */
export async function openGenerator(
  directory: string,
  options: RunOptions = {},
): Promise<Generator> {
  const checkpoint = await openCheckpoint(directory);
  const { bytes, model } = naming(
    directory,
    () => stepGraph(checkpoint, options),
  );
  const session = await createSession(bytes, {
    ...options,
    foldConstants: true,
  });
  return new CachedGenerator(model, session);
}

class CachedGenerator implements Generator {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly #model: Model;
  readonly #session: Session;
  #past: Record<string, Tensor> = {};
  #length = 0;

  constructor(model: Model, session: Session) {
    this.vocabSize = model.vocabSize;
    this.contextLength = model.contextLength;
    this.#model = model;
    this.#session = session;
  }

  async prefill(ids: ArrayLike<number>) {
    const { layers, kvHeads, headDim } = this.#model;
    this.#length = 0;
    this.#past = {};
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ["keys", "values"]) {
        this.#past[`past_${part}.${layer}`] = {
          type: "float32",
          dims: [1, kvHeads, 0, headDim],
          data: new Float32Array(0),
        };
      }
    }
    return await this.#step(Array.from(ids));
  }

  next(id: number) {
    return this.#step([id]);
  }

  async close() {
    this.#past = {};
    await this.#session.close();
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }

  async #step(ids: number[]) {
    const end = this.#length + ids.length;
    checkStep(this, ids, end);
    const row = (entries: number[]): Tensor => ({
      type: "int64",
      dims: [1, entries.length],
      data: BigInt64Array.from(entries, BigInt),
    });
    const { logits, ...present } = await this.#session.run({
      input_ids: row(ids),
      position: row(ids.map((_, index) => this.#length + index)),
      ...this.#past,
    });
    this.#past = Object.fromEntries(
      Object.entries(present).map((
        [name, tensor],
      ) => [name.replace("present", "past"), tensor]),
    );
    this.#length = end;
    return logits!.data as Float32Array;
  }
}

function checkStep(
  { vocabSize, contextLength }: Generator,
  ids: readonly number[],
  end: number,
): void {
  if (ids.length === 0) {
    throw new RangeError(
      "Cannot generate from no tokens, expected at least one",
    );
  }
  if (end > contextLength) {
    throw new RangeError(
      `Cannot generate: the sequence has ${end} tokens, expected at most the ` +
        `model's context of ${contextLength}`,
    );
  }
  const id = ids.find((id) => !(id >= 0 && id < vocabSize));
  if (id !== undefined) {
    throw new RangeError(
      `Cannot generate: token ${id} is not in 0 to ${vocabSize - 1}`,
    );
  }
}

/** One step over `[B, T]` tokens after P cached ones; logits of the last. */
function stepGraph(
  checkpoint: Checkpoint,
  options: RunOptions,
): { bytes: Uint8Array; model: Model } {
  const tape = new Tape();
  const { model, weights, checkUnused } = freeze(tape, checkpoint);
  const ids = tape.input("input_ids", "int64", ["B", "T"]);
  const positions = tape.input("position", "int64", ["B", "T"]);
  const cache = ["B", model.kvHeads, "P", model.headDim];
  const past = Array.from(
    { length: model.layers },
    (_, layer): PastKeyValues => ({
      keys: tape.input(`past_keys.${layer}`, "float32", cache),
      values: tape.input(`past_values.${layer}`, "float32", cache),
    }),
  );
  const trace = new Trace({
    ids,
    positions,
    weights,
    past,
    ...precision(options),
  });
  let x = model.embed(trace);
  for (let layer = 0; layer < model.layers; layer++) {
    x = model.block(trace, x, layer);
  }
  const last = gather(x, tape.constant("int64", [1], [-1]));
  const logits = cast(model.logits(trace, last), "float32");
  tape.output(reshape(logits, [model.vocabSize]), "logits");
  checkUnused();
  trace.present.forEach(({ keys, values }, layer) => {
    tape.output(keys, `present_keys.${layer}`);
    tape.output(values, `present_values.${layer}`);
  });
  return { bytes: encodeModel(tape.model()), model };
}
