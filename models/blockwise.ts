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
import { rowChunks, rowsAtATime } from "./row_chunks.ts";
import { Trace } from "./trace.ts";
import { recordLoss } from "./training.ts";
import { WeightNames, type WeightShapes } from "./weights.ts";

/** How {@linkcode openBlockwise} builds and runs a model. */
export interface BlockwiseOptions extends SessionOptions {
  /** Learn from fused distributions as well; from labels alone by default. */
  distillation?: Distillation;
  /** Tiles that attention takes queries in, as `tilesFor` says; one by default. */
  tiles?: number;
  /** Rows that go through the head at a time; by default 64 MB of logits. */
  headRows?: number;
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
  /** Rows that go through the head at a time. */
  readonly headRows: number;
}

/**
 * A training graph in parts, one block of the model at a time. Of the forward
 * pass only what enters a block is kept; the backward pass computes the rest
 * again, and rows go through the head some at a time. It takes less memory and more time than the graph of `trainingModel`,
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
    const { embed, embedBackward, blocks, blocksBackward } = this.#parts;
    this.#clear(fetches);
    const entering: Tensor[] = [];
    let x = (await runPart(embed, feeds)).y!;
    for (const block of blocks) {
      entering.push(x);
      x = (await runPart(block, { ...feeds, x })).y!;
    }
    const { dx, losses } = await this.#runHead(feeds, x, fetches);
    let dy: Tensor = dx;
    for (const block of blocksBackward.toReversed()) {
      const x = entering.pop()!;
      dy = (await runPart(block, { ...feeds, x, dy }, fetches)).dx!;
    }
    await runPart(embedBackward, { ...feeds, dy }, fetches);
    return { ...fetches, ...losses };
  }

  /** Embeddings and head add to their gradients: weights may be tied. */
  #clear(fetches: Tensors): void {
    const { embed, head } = this.#parts;
    for (const name of new Set([...embed.weights, ...head.weights])) {
      (fetches[`grad.${name}`]!.data as Float32Array).fill(0);
    }
  }

  /** Loss and gradients of the head, some rows at a time. */
  async #runHead(feeds: Tensors, x: Tensor, fetches: Tensors) {
    const { head, headRows } = this.#parts;
    const pick = (names: readonly string[]) =>
      Object.fromEntries(names.map((name) => [name, feeds[name]!]));
    const weights = pick(head.weights);
    const perToken = pick(head.session.inputs.filter((name) => name in feeds));
    const losses: Record<string, Tensor> = {};
    const dx = new Float32Array(x.data.length);
    let filled = 0;
    for (const chunk of rowChunks(perToken, x, headRows)) {
      const outputs = await runPart(head, { ...weights, ...chunk }, fetches);
      dx.set(outputs.dx!.data as Float32Array, filled);
      filled += outputs.dx!.data.length;
      for (const name of LOSSES) {
        if (outputs[name]) losses[name] = sum(losses[name], outputs[name]);
      }
    }
    return { dx: { ...x, data: dx }, losses };
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
    const part = new PartTape(model, names, options.tiles);
    record(part);
    const bytes = encodeModel(part.tape.model());
    const key = new TextDecoder("latin1").decode(bytes);
    if (!sessions.has(key)) sessions.set(key, createSession(bytes, options));
    return { session: await sessions.get(key)!, weights: part.weights };
  };
  try {
    const parts = await buildParts(model, build, options);
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
  { distillation, headRows = rowsAtATime(model.vocabSize) }: BlockwiseOptions,
): Promise<Parts> {
  const layers = Array.from({ length: model.layers }, (_, layer) => layer);
  return {
    headRows,
    embed: await build((part) => {
      part.tape.output(model.embed(part.trace()), "y");
    }),
    embedBackward: await build((part) => {
      part.backward(model.embed(part.trace()), part.hidden("dy"), {
        adds: true,
      });
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
        part.backward(y, part.hidden("dy"), { x });
      })
    )),
    head: await build((part) => {
      const x = part.hidden("x");
      const logits = model.logits(part.trace(), x);
      part.backward(logits, recordLoss(part.tape, logits, distillation), {
        x,
        adds: true,
      });
    }),
  };
}

/** Records one part. Weights are w0, w1, …, so that equal blocks are equal graphs. */
class PartTape {
  readonly tape = new Tape();
  readonly weights: string[] = [];
  readonly #model: Model;
  readonly #names: WeightNames;
  readonly #tiles: number | undefined;
  readonly #values: Value[] = [];

  constructor(model: Model, names: WeightNames, tiles?: number) {
    this.#model = model;
    this.#names = names;
    this.#tiles = tiles;
  }

  trace(): Trace {
    const tokens = (name: string) => this.tape.input(name, "int64", ["B", "T"]);
    return new Trace({
      ids: tokens("input_ids"),
      positions: tokens("position"),
      document: tokens("document"),
      tiles: this.#tiles,
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

  /** Gradients of the weights, added to the inputs `sum0`, … if told so, and of x. */
  backward(
    value: Value,
    gradient: Value,
    { x, adds = false }: { x?: Value; adds?: boolean },
  ): void {
    const sources = x ? [...this.#values, x] : this.#values;
    const sums = (adds ? this.#values : []).map((value, i) => ({
      value,
      gradient: this.tape.input(`sum${i}`, "float32", value.shape),
    }));
    gradients([...sums, { value, gradient }], sources).forEach((found, i) =>
      this.tape.output(found, sources[i] === x ? "dx" : `dw${i}`)
    );
  }
}

/**
 * Run a part, its weights by their names in the files. A gradient that is added to
 * is read and written in one place.
 */
async function runPart(
  { session, weights }: Part,
  feeds: Tensors,
  gradients: Tensors = {},
): Promise<Record<string, Tensor>> {
  const find = (name: string): Tensor | undefined => {
    const [, kind, index] = name.match(/^(w|dw|sum)(\d+)$/) ?? [];
    if (!kind) return feeds[name];
    const weight = weights[Number(index)]!;
    return kind === "w" ? feeds[weight] : gradients[`grad.${weight}`];
  };
  const inputs = session.inputs.map((name) => [name, find(name)!]);
  const fetches = session.outputs.map((name) => [name, find(name) ?? null]);
  return await session.run(
    Object.fromEntries(inputs),
    Object.fromEntries(fetches),
  );
}

const LOSSES = ["cross_entropy", "distance", "loss"];

function sum(a: Tensor | undefined, b: Tensor): Tensor {
  if (!a) return b;
  return { ...b, data: Float32Array.of(Number(a.data[0]) + Number(b.data[0])) };
}
