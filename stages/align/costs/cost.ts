import type { Tokenizer } from "#/tokenizers/mod.ts";

/** Rows of a model's input embedding, one per token. */
export interface Embeddings {
  /** The rows, `[V, D]`; there may be more than tokens. */
  values: Float32Array;
  /** D. */
  width: number;
}

/** What a cost may need to know. */
export interface CostInputs {
  /** The target's tokenizer. */
  target: Tokenizer;
  /** The target's embeddings, where they are given. */
  embeddings?: Embeddings | undefined;
}

/**
 * What it costs to move mass between two tokens that stand for bytes.
 *
 * Whatever it says, an exact image costs 0 and any other token at least 1.
 *
 * @param from Bytes of the source token, at least one.
 * @param to Bytes of the target token, at least one.
 * @returns The cost, in edits.
 */
export type TokenCost = (from: Uint8Array, to: Uint8Array) => number;

/** A way to say what it costs. */
export interface Cost {
  /** What is counted, in half a line. */
  description: string;
  /** Whether it cannot do without the target's embeddings. */
  needsEmbeddings?: true;
  /** Whether it encodes by the target's tokenizer. */
  needsEncoder?: true;
  /** Whether it is the number of edits, so that bounds of that are its own. */
  countsEdits?: true;
  /** Prepares it. */
  make: (inputs: CostInputs) => TokenCost;
}
