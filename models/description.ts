import type { Value } from "#/onnx/mod.ts";
import type { Config } from "./config.ts";
import type { Trace } from "./trace.ts";

/**
 * A model: a function of its config, recorded onto any pass. The same one serves
 * scoring, generation with a cache, and training.
 */
export interface Description {
  /** Width of the logits. */
  readonly vocabSize: number;
  /** Longest sequence. */
  readonly contextLength: number;
  /** Number of blocks. */
  readonly layers: number;
  /** Key and value heads, for the cache. */
  readonly kvHeads: number;
  /** Features of a head. */
  readonly headDim: number;
  /** Features of the residual stream D. */
  readonly hiddenSize: number;
  /** Standard deviation of fresh weights. */
  readonly initializerRange: number;
  /** Tokens to hidden states, `[N, D]`. */
  embed(trace: Trace): Value;
  /** One block, `[N, D]` to `[N, D]`. */
  block(trace: Trace, x: Value, layer: number): Value;
  /** Hidden states to logits, `[N, V]`. */
  logits(trace: Trace, x: Value): Value;
}

/** A family of models that shares config.json's `model_type`. */
export interface Architecture {
  /** What files may leave off the front of weight names. */
  readonly prefix: string;
  /** Weights and buffers that files may hold unread; a head is where it is tied. */
  readonly ignored: RegExp;
  /** Read the config. */
  describe(config: Config): Description;
}
