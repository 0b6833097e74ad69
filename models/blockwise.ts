import {
  createSession,
  encodeModel,
  gradients,
  type Session,
  type SessionOptions,
  Tape,
  type Tensor,
  type Value,
} from "#/onnx/mod.ts";
import { describeModel, type Model } from "./architectures.ts";
import type { Distillation } from "./loss_head.ts";
import { Trace } from "./trace.ts";
import { recordLoss } from "./training.ts";
import { WeightNames, type WeightShapes } from "./weights.ts";

/** How {@linkcode openBlockwise} builds and runs a model. */
export interface BlockwiseOptions extends SessionOptions {
  /** Learn from fused distributions as well; from labels alone by default. */
  distillation?: Distillation;
}

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** A graph of one part of a model; blocks that are alike share a session. */
interface Part {
  readonly session: Session;
  /** Names in the files of the inputs w0, w1, … */
  readonly weights: readonly string[];
}

/** The graphs of a model, in parts. */
interface Parts {
  readonly embed: Part;
  readonly embedBackward: Part;
  readonly blocks: readonly Part[];
  readonly blocksBackward: readonly Part[];
  readonly head: Part;
}

/**
 * A training graph in parts, one block of the model at a time. Of the forward
 * pass only what enters a block is kept; the backward pass computes the rest
 * again. It takes less memory and more time than the graph of `trainingModel`,
 * and gives the same outputs by the same names.
 */
export class BlockwiseTraining implements AsyncDisposable {
  /** Weights that are inputs; each has a gradient `grad.<name>`. */
  readonly weightNames: readonly string[];
  readonly #parts: Parts;

  /**
   * Use {@linkcode openBlockwise}.
   *
   * @param parts The graphs.
   */
  constructor(parts: Parts) {
    this.#parts = parts;
    const { embed, blocks, head } = parts;
    this.weightNames = [
      ...new Set([embed, ...blocks, head].flatMap(({ weights }) => weights)),
    ];
  }

  /**
   * Run forward and backward.
   *
   * @param feeds The inputs of `trainingModel`.
   * @param fetches Where to write the gradients, `grad.<name>` for every weight.
   * @returns Them, and `loss`, `cross_entropy` and `distance`.
   */
  async run(feeds: Tensors, fetches: Tensors): Promise<Record<string, Tensor>> {
    const { embed, embedBackward, blocks, blocksBackward, head } = this.#parts;
    const written = new Set<string>();
    const entering: Tensor[] = [];
    let x = (await runPart(embed, feeds)).y!;
    for (const block of blocks) {
      entering.push(x);
      x = (await runPart(block, { ...feeds, x })).y!;
    }
    const backward = async (part: Part, feeds: Tensors) => {
      const outputs = await runPart(part, feeds, fetches, written);
      for (const name of part.weights) written.add(name);
      return outputs;
    };
    const { dx, ...losses } = await backward(head, { ...feeds, x });
    let dy = dx!;
    for (const block of blocksBackward.toReversed()) {
      const x = entering.pop()!;
      dy = (await backward(block, { ...feeds, x, dy })).dx!;
    }
    await backward(embedBackward, { ...feeds, dy });
    return { ...fetches, ...losses };
  }

  /** Free what it holds. */
  async close(): Promise<void> {
    const { embed, embedBackward, blocks, blocksBackward, head } = this.#parts;
    const parts = [embed, embedBackward, ...blocks, ...blocksBackward, head];
    const sessions = new Set(parts.map(({ session }) => session));
    await Promise.all(Array.from(sessions, (session) => session.close()));
  }

  /** Free what it holds. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Build the training graph of a model in parts.
 *
 * @param config config.json, verbatim.
 * @param weights Shapes of the weights in the files.
 * @param options See {@linkcode BlockwiseOptions}.
 * @returns The graphs, to be closed by the caller.
 * @throws {RangeError} If the config is not supported, or the weights do not fit it.
 */
export async function openBlockwise(
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: BlockwiseOptions = {},
): Promise<BlockwiseTraining> {
  const model = describeModel(config);
  const names = new WeightNames(model, weights);
  const sessions = new Map<string, Promise<Session>>();
  const build = async (record: (part: PartTape) => void): Promise<Part> => {
    const part = new PartTape(model, names);
    record(part);
    const bytes = encodeModel(part.tape.model());
    const key = new TextDecoder("latin1").decode(bytes);
    if (!sessions.has(key)) sessions.set(key, createSession(bytes, options));
    return { session: await sessions.get(key)!, weights: part.weights };
  };
  try {
    const parts = await buildParts(model, build, options.distillation);
    names.checkUnused();
    return new BlockwiseTraining(parts);
  } catch (error) {
    const opened = await Promise.all(sessions.values());
    await Promise.all(opened.map((session) => session.close()));
    throw error;
  }
}

/** Every part in the order of the forward pass. */
async function buildParts(
  model: Model,
  build: (record: (part: PartTape) => void) => Promise<Part>,
  distillation?: Distillation,
): Promise<Parts> {
  const layers = Array.from({ length: model.layers }, (_, layer) => layer);
  return {
    embed: await build((part) => {
      part.tape.output(model.embed(part.trace()), "y");
    }),
    embedBackward: await build((part) => {
      part.backward(model.embed(part.trace()), part.hidden("dy"));
    }),
    blocks: await Promise.all(layers.map((layer) =>
      build((part) => {
        const x = part.hidden("x");
        part.tape.output(model.block(part.trace(), x, layer), "y");
      })
    )),
    blocksBackward: await Promise.all(layers.map((layer) =>
      build((part) => {
        const x = part.hidden("x");
        const y = model.block(part.trace(), x, layer);
        part.backward(y, part.hidden("dy"), x);
      })
    )),
    head: await build((part) => {
      const x = part.hidden("x");
      const logits = model.logits(part.trace(), x);
      part.backward(logits, recordLoss(part.tape, logits, distillation), x);
    }),
  };
}

/** Records one part. Weights are w0, w1, …, so that equal blocks are equal graphs. */
class PartTape {
  readonly tape = new Tape();
  readonly weights: string[] = [];
  readonly #model: Model;
  readonly #names: WeightNames;
  readonly #values: Value[] = [];

  constructor(model: Model, names: WeightNames) {
    this.#model = model;
    this.#names = names;
  }

  trace(): Trace {
    const tokens = (name: string) => this.tape.input(name, "int64", ["B", "T"]);
    return new Trace({
      ids: tokens("input_ids"),
      positions: tokens("position"),
      document: tokens("document"),
      weights: (name, shape) => {
        const value = this.tape.input(
          `w${this.weights.length}`,
          "float32",
          shape,
        );
        this.weights.push(this.#names.find(name, shape));
        this.#values.push(value);
        return value;
      },
    });
  }

  hidden(name: string): Value {
    return this.tape.input(name, "float32", ["N", this.#model.hiddenSize]);
  }

  backward(value: Value, gradient: Value, x?: Value): void {
    const sources = x ? [...this.#values, x] : this.#values;
    gradients([{ value, gradient }], sources).forEach((found, i) =>
      this.tape.output(found, sources[i] === x ? "dx" : `dw${i}`)
    );
  }
}

/**
 * Run a part, its weights by their names in the files. A gradient that another
 * part has already written (of a tied weight) is added to.
 */
async function runPart(
  { session, weights }: Part,
  feeds: Tensors,
  fetches: Tensors = {},
  written: ReadonlySet<string> = new Set(),
): Promise<Record<string, Tensor>> {
  const inputs = Object.fromEntries(session.inputs.map((name) => {
    const index = name.match(/^w(\d+)$/)?.[1];
    return [name, feeds[index ? weights[Number(index)]! : name]!];
  }));
  const target = (name: string) => {
    const index = name.match(/^dw(\d+)$/)?.[1];
    return index ? weights[Number(index)]! : undefined;
  };
  const outputs = await session.run(
    inputs,
    Object.fromEntries(session.outputs.map((name) => {
      const weight = target(name);
      const isFresh = weight !== undefined && !written.has(weight);
      return [name, isFresh ? fetches[`grad.${weight}`]! : null];
    })),
  );
  for (const [name, { data }] of Object.entries(outputs)) {
    const weight = target(name);
    if (weight === undefined || !written.has(weight)) continue;
    const sum = fetches[`grad.${weight}`]!.data as Float32Array;
    for (let i = 0; i < sum.length; i++) sum[i]! += Number(data[i]);
  }
  return outputs;
}
