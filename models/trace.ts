import {
  add,
  and,
  cast,
  concat,
  equal,
  less,
  lessOrEqual,
  range,
  reshape,
  sub,
  type Tape,
  type TensorType,
  type Value,
  where,
} from "#/onnx/mod.ts";
import { cutTiles, joinTiles, type Tile } from "./tiles.ts";

/**
 * How a weight starts when a model is made from scratch: "normal" is N(0, σ²),
 * "residual" the same over √(2 layers), for what adds to the residual stream.
 */
export type WeightKind = "normal" | "residual" | "ones" | "zeros";

/** Gives a model description the weights it asks for, by Hugging Face's names. */
export type WeightSource = (
  name: string,
  shape: readonly number[],
  kind: WeightKind,
) => Value;

/** Keys and values of earlier tokens, `[B, KV, P, D]` each. */
export interface PastKeyValues {
  /** Keys, positions applied. */
  readonly keys: Value;
  /** Values. */
  readonly values: Value;
}

/** Where a {@linkcode Trace} gets what it needs. */
export interface TraceSources {
  /** Token ids, int64 `[B, T]`. */
  ids: Value;
  /** Positions, int64 `[B, T]`. */
  positions: Value;
  /** Document of every token, int64 `[B, T]`; one a row by default. */
  document?: Value;
  /** Weights. */
  weights: WeightSource;
  /** Per layer, what earlier tokens left; nothing by default. */
  past?: readonly PastKeyValues[];
  /** What to compute in; f32 by default. Scores and the cache are f32 always. */
  arithmetic?: TensorType | undefined;
  /** What weights are rounded to; nothing by default. */
  rounding?: TensorType | undefined;
  /** Tiles that queries are taken in; one by default, and where there is a past. */
  tiles?: number | undefined;
}

/** Added to the score of what may not be attended to: far below any score, yet finite. */
const MASKED = -1e30;

/**
 * One pass of a model over a batch, as it is recorded: what a description of a
 * model reads its tokens, positions, mask and weights from.
 */
export class Trace {
  /** The graph. */
  readonly tape: Tape;
  /** Token ids, int64 `[N]`, N = B · T. */
  readonly ids: Value;
  /** Positions, int64 `[B, T]`. */
  readonly positions: Value;
  /** What attention goes through one after the other. */
  readonly tiles: readonly Tile[];
  /** Per layer, keys and values of all tokens so far. */
  readonly present: PastKeyValues[] = [];
  readonly #sources: TraceSources;

  /**
   * Begin a pass.
   *
   * @param sources Where everything comes from.
   */
  constructor(sources: TraceSources) {
    this.#sources = sources;
    this.tape = sources.ids.tape;
    this.ids = reshape(sources.ids, ["N"]);
    this.positions = sources.positions;
    const count = sources.past ? 1 : sources.tiles ?? 1;
    this.tiles = Array.from(
      { length: count },
      (_, index) => ({ index, count }),
    );
  }

  /**
   * Convert to what is computed in.
   *
   * @param x Any real tensor.
   * @returns The same shape.
   */
  toArithmetic(x: Value): Value {
    return cast(x, this.#sources.arithmetic ?? "float32");
  }

  /**
   * A weight in what is computed in.
   *
   * @param name Its Hugging Face name.
   * @param shape Its shape in the file.
   * @param kind How it starts.
   * @returns The weight.
   */
  weight(
    name: string,
    shape: readonly number[],
    kind: WeightKind = "normal",
  ): Value {
    return this.tape.once(
      `weight ${name}`,
      () => this.fromStored(this.storedWeight(name, shape, kind)),
    );
  }

  /**
   * Round and convert what is stored.
   *
   * @param stored A weight, or some of its rows.
   * @returns The same shape.
   */
  fromStored(stored: Value): Value {
    const { rounding } = this.#sources;
    return this.toArithmetic(rounding ? cast(stored, rounding) : stored);
  }

  /**
   * A weight as it is stored, to pick rows from before converting them.
   *
   * @param name Its Hugging Face name.
   * @param shape Its shape in the file.
   * @param kind How it starts.
   * @returns The weight.
   */
  storedWeight(
    name: string,
    shape: readonly number[],
    kind: WeightKind = "normal",
  ): Value {
    return this.tape.once(
      `stored ${name}`,
      () => this.#sources.weights(name, shape, kind),
    );
  }

  /**
   * Join a layer's keys and values to those of earlier tokens.
   *
   * @param layer Index of the layer.
   * @param fresh Keys and values of this batch, `[B, KV, T, D]`.
   * @returns Those of all tokens, `[B, KV, S, D]`.
   */
  extend(layer: number, fresh: PastKeyValues): PastKeyValues {
    const past = this.#sources.past?.[layer];
    const all = past
      ? {
        keys: concat([past.keys, fresh.keys], 2, "S"),
        values: concat([past.values, fresh.values], 2, "S"),
      }
      : fresh;
    return this.present[layer] = all;
  }

  /**
   * How far every key of a tile lies behind every query; negative ahead.
   *
   * @param tile Which queries and keys.
   * @returns f32 `[t, s]`.
   */
  distance(tile: Tile): Value {
    return this.tape.once(`distance ${tile.index}`, () => {
      const { tape } = this;
      let queries = range(tape, "T");
      let keys = queries;
      if (this.#sources.past) {
        keys = range(tape, "S", add(tape.size("P"), tape.size("T")));
        queries = add(queries, tape.size("P"));
      } else {
        const parts = cutTiles(queries, 0, tile.count);
        queries = parts[tile.index]!;
        keys = joinTiles(parts, 0, tile);
      }
      const column = reshape(queries, [queries.shape[0]!, 1]);
      return cast(sub(column, reshape(keys, [1, keys.shape[0]!])), "float32");
    });
  }

  /**
   * What to add to scores: 0 where a query may attend to a key, at most `window`
   * tokens back and in its own document, else a number that softmax takes to 0.
   *
   * @param tile Which queries and keys.
   * @param window Tokens a query sees, itself included; all by default.
   * @returns f32 `[t, s]`, or `[B, 1, 1, t, s]` with documents.
   */
  mask(tile: Tile, window?: number): Value {
    return this.tape.once(`mask ${tile.index} ${window}`, () => {
      const zero = this.tape.constant("float32", [], [0]);
      const distance = this.distance(tile);
      let allowed = lessOrEqual(zero, distance);
      if (window) allowed = and(allowed, less(distance, window));
      if (this.#sources.document) {
        allowed = and(allowed, this.#isSameDocument(tile));
      }
      return where(allowed, zero, MASKED);
    });
  }

  #isSameDocument(tile: Tile): Value {
    const parts = cutTiles(this.#sources.document!, 1, tile.count);
    const queries = parts[tile.index]!;
    const keys = joinTiles(parts, 1, tile);
    return equal(
      reshape(queries, ["B", 1, 1, queries.shape[1]!, 1]),
      reshape(keys, ["B", 1, 1, 1, keys.shape[1]!]),
    );
  }
}
