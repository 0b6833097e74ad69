/** A token and its probability. */
export type Share = readonly [id: number, probability: number];

/** One token of a text. */
export interface TextToken {
  /** Its id. */
  id: number;
  /** Byte offset at which it begins. */
  start: number;
  /** Byte offset after it; a special token has no bytes. */
  end: number;
}

/** What a model predicts at one row. */
export interface Prediction {
  /** Its best tokens, most likely first. */
  top: readonly Share[];
  /** Probability of the token that follows; absent on the last row. */
  label?: number;
}

/** A text as one model reads it. */
export interface Reading {
  /** Name of the model. */
  name: string;
  /** How well it predicts the text. */
  bitsPerByte: number;
  /** Its tokens, special ones at the ends included, `[T]`. */
  tokens: readonly TextToken[];
  /** Its predictions, `[T]`: row t is about token t + 1. */
  rows: readonly Prediction[];
  /** Spelling of every id that occurs in the page. */
  spellings: Readonly<Record<number, string>>;
}

/** A transport problem and its solution. */
export interface Transport {
  /** Source tokens, `[N]`. */
  sourceIds: readonly number[];
  /** Target tokens, `[M]`. */
  targetIds: readonly number[];
  /** Source marginal, `[N]`. */
  a: readonly number[];
  /** Target marginal, `[M]`. */
  b: readonly number[];
  /** Cost matrix, `[N, M]`. */
  cost: readonly number[];
  /** Transport plan, `[N, M]`. */
  plan: readonly number[];
}

/** What one alignment method makes of a source's distribution. */
export interface Rewritten {
  /** The target's tokens that are kept, most likely first. */
  top: readonly Share[];
  /** Mass of the source's top k that found no place among them. */
  lost: number;
  /** L1 marginal error, of a method that transports. */
  marginalError: number;
  /** What was solved, by a method that transports. */
  transport?: Transport;
}

/** An alignment method. */
export interface InspectedMethod {
  /** Its name. */
  name: string;
  /** What becomes of a distribution, in half a line. */
  description: string;
  /** Whether it obeys the law. */
  corrected: boolean;
}

/** A target row and the source row that faces it. */
export interface InspectedPair {
  /** Row of the target. */
  target: number;
  /** Row of the source. */
  source: number;
  /** Byte offset of the text that both predict from. */
  offset: number;
  /** One entry per method, in the inspection's order. */
  rewritten: readonly Rewritten[];
}

/** A source beside the target. */
export interface InspectedSource extends Reading {
  /** The pairs, in order. */
  pairs: readonly InspectedPair[];
}

/** Everything the page shows. */
export interface Inspection {
  /** The text. */
  text: string;
  /** UTF-8 bytes of the text. */
  bytes: number;
  /** UTF-8 bytes that were left out at its end, to fit the models' contexts. */
  cut: number;
  /** The alignment methods. */
  methods: readonly InspectedMethod[];
  /** The target. */
  target: Reading;
  /** The sources. */
  sources: readonly InspectedSource[];
}
