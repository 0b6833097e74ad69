import {
  createSession,
  encodeModel,
  type Session,
  type SessionOptions,
  type Tensor,
} from "#/onnx/mod.ts";
import { describeModel, type Model } from "./architectures.ts";
import {
  type BlockParts,
  gradientBytes,
  type PartOptions,
  partsPeakBytes,
  type PartTape,
  recordParts,
} from "./block_parts.ts";
import { Room } from "./room.ts";
import { rowChunks, rowsAtATime } from "./row_chunks.ts";
import { WeightNames, type WeightShapes } from "./weights.ts";

/** How {@linkcode openBlockwise} builds and runs a model. */
export interface BlockwiseOptions extends SessionOptions, PartOptions {
  /** Rows that go through the head at a time; by default 48 MB of logits. */
  headRows?: number;
}

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** A graph of one part of a model; blocks that are alike share a session. */
interface Part {
  readonly session: Session;
  /** Names in the files of the inputs w0, w1, … */
  readonly weights: readonly string[];
  /** Outputs that are kept for the backward pass, and their features. */
  readonly kept: readonly { name: string; width: number }[];
}

/**
 * A training graph in parts, one block of the model at a time. Of the forward
 * pass is kept what enters a block, and what `keptWidth` has room for of its matrix
 * products; the backward pass computes the rest again, and rows go through the head
 * some at a time. It takes less memory and more time than the graph of
 * `trainingModel`, and gives the same outputs by the same names.
 */
export class BlockwiseTraining implements AsyncDisposable {
  /** Weights that are inputs; each has a gradient `grad.<name>`. */
  readonly weightNames: readonly string[];
  readonly #parts: BlockParts<Part>;
  readonly #headRows: number;

  /**
   * Use {@linkcode openBlockwise}.
   *
   * @param parts The graphs.
   * @param headRows Rows that go through the head at a time.
   */
  constructor(parts: BlockParts<Part>, headRows: number) {
    this.#parts = parts;
    this.#headRows = headRows;
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
   * @param adds Whether to add them to what is there.
   * @returns Them, and `loss`, `cross_entropy` and `distance`.
   */
  async run(
    feeds: Tensors,
    fetches: Tensors,
    adds = false,
  ): Promise<Record<string, Tensor>> {
    const { embed, embedBackward, blocks, blocksBackward } = this.#parts;
    if (!adds) this.#clear(fetches);
    const known: { own: Tensors; lodged: Tensors }[] = [];
    let x = (await runPart(embed, feeds)).y!;
    for (const [layer, block] of blocks.entries()) {
      const below = adds ? undefined : blocksBackward[layer - 1];
      const lodged = lodge(block, x.dims[0]!, below, fetches);
      const { y, ...kept } = await runPart(block, { ...feeds, x, ...lodged });
      for (const name in lodged) delete kept[name];
      known.push({ own: { x, ...kept }, lodged });
      x = y!;
    }
    const { dx, losses } = await this.#runHead(feeds, x, fetches);
    let dy: Tensor = dx;
    for (const block of blocksBackward.toReversed()) {
      const { own, lodged } = known.pop()!;
      const values = { ...feeds, ...own, ...lodged, dy };
      const { dx } = await runPart(block, values, fetches, adds);
      free({ ...own, dy });
      dy = dx!;
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
    const { head } = this.#parts;
    const pick = (names: readonly string[]) =>
      Object.fromEntries(names.map((name) => [name, feeds[name]!]));
    const weights = pick(head.weights);
    const perToken = pick(head.session.inputs.filter((name) => name in feeds));
    const losses: Record<string, Tensor> = {};
    const dx = new Float32Array(x.data.length);
    let filled = 0;
    for (const chunk of rowChunks(perToken, x, this.#headRows)) {
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
  const sessions = new Map<string, Promise<Session>>();
  const open = async ({ tape, weights }: PartTape): Promise<Part> => {
    const bytes = encodeModel(tape.model());
    const key = new TextDecoder("latin1").decode(bytes);
    if (!sessions.has(key)) sessions.set(key, createSession(bytes, options));
    const kept = tape.model().outputs
      .filter(({ name }) => name.startsWith("kept"))
      .map(({ name, shape }) => ({ name, width: Number(shape[1]) }));
    return { session: await sessions.get(key)!, weights, kept };
  };
  const { model, parts } = recordAll(config, weights, options);
  const { embed, embedBackward, blocks, blocksBackward, head } = parts;
  const { headRows = rowsAtATime(model.vocabSize) } = options;
  try {
    return new BlockwiseTraining({
      embed: await open(embed),
      embedBackward: await open(embedBackward),
      blocks: await Promise.all(blocks.map(open)),
      blocksBackward: await Promise.all(blocksBackward.map(open)),
      head: await open(head),
    }, headRows);
  } catch (error) {
    const opened = await Promise.all(sessions.values());
    await Promise.all(opened.map((session) => session.close()));
    throw error;
  }
}

/** What a run of {@linkcode BlockwiseTraining} takes. */
export interface BlockwiseMemory {
  /** Bytes of the parts and what enters the blocks, without weights and gradients. */
  run: number;
  /** Features that can be kept of every block where gradients are to be written. */
  roomWidth: number;
  /** Bytes of each further one. */
  keptFeature: number;
}

/**
 * Estimate the memory of a run.
 *
 * @param config config.json, verbatim.
 * @param weights Shapes of the weights in the files.
 * @param options Of {@linkcode openBlockwise}.
 * @param batch B.
 * @param length T.
 * @returns What it takes.
 * @throws {RangeError} If the config is not supported, or the weights do not fit it.
 */
export function blockwiseMemory(
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: BlockwiseOptions,
  batch: number,
  length: number,
): BlockwiseMemory {
  const { model, parts } = recordAll(config, weights, options);
  const { tiles = 1, headRows = rowsAtATime(model.vocabSize) } = options;
  const graphs = partsPeakBytes(parts, {
    ...{ batch, length, tiles },
    headRows: Math.min(headRows, batch * length),
  });
  const feature = 4 * batch * length;
  const keptFeature = feature * model.layers;
  const room = parts.blocksBackward.map(({ tape }) => gradientBytes(tape));
  const roomWidth = Math.floor(Math.min(...room) / feature);
  // The first block finds no room: there is no gradient that comes later.
  const run = graphs + keptFeature * model.hiddenSize + feature * roomWidth;
  return { run, roomWidth, keptFeature };
}

function recordAll(
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: PartOptions,
): { model: Model; parts: BlockParts } {
  const model = describeModel(config);
  const names = new WeightNames(model, weights);
  const parts = recordParts(model, names, options);
  names.checkUnused();
  return { model, parts };
}

/**
 * Run a part, its weights by their names in the files. A gradient that a graph adds
 * to is read and written in one place; with `adds`, all others are added to as well.
 */
async function runPart(
  { session, weights }: Part,
  feeds: Tensors,
  gradients: Tensors = {},
  adds = false,
): Promise<Record<string, Tensor>> {
  const find = (name: string): Tensor | undefined => {
    const [, kind, index] = name.match(/^(w|dw|sum)(\d+)$/) ?? [];
    if (!kind) return feeds[name];
    const weight = weights[Number(index)]!;
    return kind === "w" ? feeds[weight] : gradients[`grad.${weight}`];
  };
  const inputs = Object.fromEntries(
    session.inputs.map((name) => [name, find(name)!]),
  );
  const found = session.outputs.map((name) => [name, find(name)] as const);
  if (adds) {
    const sums = found.filter((entry): entry is [string, Tensor] => !!entry[1]);
    return await session.runAdding(inputs, Object.fromEntries(sums), ["dx"]);
  }
  return await session.run(
    inputs,
    Object.fromEntries(found.map(([name, tensor]) => [name, tensor ?? null])),
  );
}

/**
 * Where what a block keeps may lie: in the gradients of the block below, which are
 * written after this one's.
 */
function lodge(
  block: Part,
  rows: number,
  below: Part | undefined,
  fetches: Tensors,
): Tensors {
  const room = new Room(
    (below?.weights ?? []).map((name) =>
      fetches[`grad.${name}`]!.data as Float32Array
    ),
  );
  const lodged = block.kept.flatMap(({ name, width }) => {
    const data = room.take(rows * width);
    const dims = [rows, width];
    return data ? [[name, { type: "float32", dims, data }] as const] : [];
  });
  return Object.fromEntries(lodged);
}

/** Frees tensors now, not when they are collected. */
function free(tensors: Tensors): void {
  for (const { data } of Object.values(tensors)) {
    (data.buffer as ArrayBuffer).transfer(0);
  }
}

const LOSSES = ["cross_entropy", "distance", "loss"];

function sum(a: Tensor | undefined, b: Tensor): Tensor {
  if (!a) return b;
  return { ...b, data: Float32Array.of(Number(a.data[0]) + Number(b.data[0])) };
}
