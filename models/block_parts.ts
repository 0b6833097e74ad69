import {
  ARENA_SLACK,
  bytesOf,
  gradients,
  peakBytes,
  Tape,
  type Value,
  type ValueInfo,
} from "#/onnx/mod.ts";
import type { Model } from "./architectures.ts";
import type { Distillation } from "./loss_head.ts";
import { tileSizes } from "./tiles.ts";
import { Trace } from "./trace.ts";
import { recordLoss } from "./training.ts";
import type { WeightNames } from "./weights.ts";

/** How `recordParts` builds the graphs. */
export interface PartOptions {
  /** Learn from fused distributions as well; from labels alone by default. */
  distillation?: Distillation;
  /** Tiles that attention takes queries in, as `tilesFor` says; one by default. */
  tiles?: number;
  /**
   * Features a token, at most, of a block's matrix products that are kept for the
   * backward pass, which then need not compute them again. Defaults to 0.
   */
  keptWidth?: number;
}

/** The graphs of a model, in parts. */
export interface BlockParts<Part = PartTape> {
  /** Tokens → `y`. */
  readonly embed: Part;
  /** `dy` → gradients. */
  readonly embedBackward: Part;
  /** `x` → `y` and what is kept, `kept0`, …; one of each layer. */
  readonly blocks: readonly Part[];
  /** `x`, `dy` and what is kept → `dx` and gradients; one of each layer. */
  readonly blocksBackward: readonly Part[];
  /** `x` → losses, `dx` and gradients. */
  readonly head: Part;
}

/**
 * Record a model's parts.
 *
 * @param model The model.
 * @param names Its weights in the files.
 * @param options See {@linkcode PartOptions}.
 * @returns The graphs.
 * @throws {RangeError} If the weights do not fit the model.
 */
export function recordParts(
  model: Model,
  names: WeightNames,
  { distillation, tiles, keptWidth = 0 }: PartOptions,
): BlockParts {
  const open = () => new PartTape(model, names, tiles);
  const record = (steps: (part: PartTape) => void) => {
    const part = open();
    steps(part);
    return part;
  };
  const blocks = Array.from(
    { length: model.layers },
    (_, layer) => recordBlock(model, layer, open, keptWidth),
  );
  return {
    embed: record((part) => {
      part.tape.output(model.embed(part.trace()), "y");
    }),
    embedBackward: record((part) => {
      part.backward(model.embed(part.trace()), part.hidden("dy"), {
        adds: true,
      });
    }),
    blocks: blocks.map(({ forward }) => forward),
    blocksBackward: blocks.map(({ backward }) => backward),
    head: record((part) => {
      const x = part.hidden("x");
      const logits = model.logits(part.trace(), x);
      part.backward(logits, recordLoss(part.tape, logits, distillation), {
        x,
        adds: true,
      });
    }),
  };
}

/** Both passes of a block: what the backward one needs, the forward one gives. */
function recordBlock(
  model: Model,
  layer: number,
  open: () => PartTape,
  keptWidth: number,
): { forward: PartTape; backward: PartTape } {
  const backward = open();
  const x = backward.hidden("x");
  const y = model.block(backward.trace(), x, layer);
  const products = backward.products();
  backward.backward(y, backward.hidden("dy"), { x });
  const kept = chooseKept(backward, products, keptWidth);
  for (const index of kept) {
    backward.tape.feed(products[index]!, `kept${index}`);
  }

  const forward = open();
  const entering = forward.hidden("x");
  forward.tape.output(model.block(forward.trace(), entering, layer), "y");
  const same = forward.products();
  for (const index of kept) forward.tape.output(same[index]!, `kept${index}`);
  return { forward, backward };
}

/** Products that the backward pass would compute again, as far as they fit; the widest first. */
function chooseKept(
  { tape }: PartTape,
  products: readonly Value[],
  keptWidth: number,
): number[] {
  const needed = new Set(tape.model().nodes.flatMap(({ outputs }) => outputs));
  const widest = products
    .map(({ name, shape }, index) => ({ name, index, width: Number(shape[1]) }))
    .filter(({ name }) => needed.has(name))
    .sort((a, b) => b.width - a.width);
  let left = keptWidth;
  return widest.flatMap(({ index, width }) => {
    if (width > left) return [];
    left -= width;
    return [index];
  });
}

/**
 * Estimate what the parts take to run, where gradients have a place already. The
 * sessions keep their memory from run to run.
 *
 * @param parts The graphs.
 * @param sizes Sequences and tokens of each; rows that go through the head at a
 * time; tiles.
 * @returns Bytes, without inputs, weights and gradients.
 */
export function partsPeakBytes(
  { embed, embedBackward, blocks, blocksBackward, head }: BlockParts,
  { batch, length, headRows, tiles }: {
    batch: number;
    length: number;
    headRows: number;
    tiles: number;
  },
): number {
  const whole = {
    ...{ N: batch * length, B: batch, T: length },
    ...tileSizes(length, tiles),
  };
  const rows = { N: headRows, B: 1, T: headRows };
  const largest = (parts: readonly PartTape[], sizes: Record<string, number>) =>
    Math.max(...parts.map(({ tape }) => {
      const gradients = gradientsOf(tape).map(({ name }) => name);
      return peakBytes(tape, sizes, gradients);
    }));
  // What is written into a caller's array is returned as a copy, too.
  const copies = [embedBackward, ...blocksBackward, head].map(({ tape }) =>
    gradientBytes(tape)
  );
  const sessions = largest([embed], whole) + largest([embedBackward], whole) +
    largest(blocks, whole) + largest(blocksBackward, whole) +
    largest([head], rows);
  return ARENA_SLACK * sessions + Math.max(...copies);
}

/**
 * Size of the gradients that a part writes.
 *
 * @param tape The part's graph.
 * @returns Bytes.
 */
export function gradientBytes(tape: Tape): number {
  return gradientsOf(tape).reduce((sum, value) => sum + bytesOf(value, {}), 0);
}

function gradientsOf(tape: Tape): readonly ValueInfo[] {
  return tape.model().outputs.filter(({ name }) => /^dw\d+$/.test(name));
}

/** Records one part. Weights are w0, w1, …, so that equal blocks are equal graphs. */
export class PartTape {
  /** The graph. */
  readonly tape = new Tape();
  /** Names in the files of w0, w1, … */
  readonly weights: string[] = [];
  readonly #model: Model;
  readonly #names: WeightNames;
  readonly #tiles: number | undefined;
  readonly #values: Value[] = [];

  /**
   * Begin a part.
   *
   * @param model The model.
   * @param names Its weights in the files.
   * @param tiles Tiles that attention takes queries in.
   */
  constructor(model: Model, names: WeightNames, tiles?: number) {
    this.#model = model;
    this.#names = names;
    this.#tiles = tiles;
  }

  /**
   * Begin a pass over the part.
   *
   * @returns Where the model's description records it.
   */
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

  /**
   * Declare what enters from another part.
   *
   * @param name Its name.
   * @returns `[N, D]`.
   */
  hidden(name: string): Value {
    return this.tape.input(name, "float32", ["N", this.#model.hiddenSize]);
  }

  /**
   * Products with weights: what takes longest.
   *
   * @returns `[N, …]` each, in the order of their recording.
   */
  products(): Value[] {
    return this.tape.nodes.flatMap(({ op, outputs }) =>
      op === "Gemm" ? [outputs[0]!] : []
    );
  }

  /**
   * Record the gradients of the weights and of what entered.
   *
   * @param value What the part gives.
   * @param gradient The loss's gradient by it.
   * @param options `x` is what entered; with `adds`, weights' gradients are added
   * to the inputs `sum0`, ….
   */
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
