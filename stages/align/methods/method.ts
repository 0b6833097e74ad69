import type {
  SinkhornOptions,
  SinkhornOutput,
  TransportProblems,
} from "#/kernels/mod.ts";
import type {
  AlignedRow,
  RepresentationRow,
  VocabMappingRow,
} from "#/shards/mod.ts";
import type { ReferenceDefects } from "#/stages/align/reference/reference_defects.ts";
import type { TokenRelation } from "#/stages/align/token_relation.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

/** A flag that decides what comes out, where a method heeds it. */
export type AlignSetting =
  | "epsilon"
  | "tau"
  | "threshold"
  | "iterations"
  | "cost"
  | "reference";

/** What there is to know about a method. */
export interface AlignMethodFacts {
  /** What becomes of a distribution, in half a line. */
  description: string;
  /** Whether it obeys the law: the same tokenizer in, the source's distribution out. */
  corrected: boolean;
  /** Whether what comes out are the source's tokens, not the target's. */
  keepsTokens?: boolean;
  /** Whether it encodes by the target's tokenizer. */
  needsEncoder?: boolean;
  /** Which flags it heeds, beside `--top-k`. */
  settings: readonly AlignSetting[];
  /** Iterations at most, where it needs more than others to converge. */
  iterations?: number;
}

/** A method that looks at one position pair at a time. */
export interface PairMethod extends AlignMethodFacts {
  /** What it does. */
  pairs: AlignPairs;
}

/** A method that finds out by itself which positions face each other. */
export interface BlockMethod extends AlignMethodFacts {
  /** What it does. */
  blocks: AlignBlocks;
}

/** A way to rewrite a source's distributions over the target's vocabulary. */
export type AlignMethod = PairMethod | BlockMethod;

/**
 * Prepares to rewrite distributions at position pairs.
 *
 * @param options How to transport.
 * @returns A function from pairs to one distribution each.
 */
export type AlignPairs = (options: TransportOptions) => SolvePairs;

/**
 * Rewrites distributions.
 *
 * @param pairs Position pairs.
 * @param tell Told, for each pair, the pair and what comes out, which is valid
 * until the next.
 */
export type SolvePairs = <P extends Pair>(
  pairs: readonly P[],
  tell: (pair: P, masses: Masses) => void,
) => void | Promise<void>;

/**
 * Prepares to rewrite whole blocks.
 *
 * @param vocabularies What is aligned with what.
 * @param options How to.
 * @returns A function from the target's and the source's row of one block.
 */
export type AlignBlocks = (
  vocabularies: MappedVocabularies,
  options: BlockOptions,
) => (
  targetRow: RepresentationRow,
  sourceRow: RepresentationRow,
) => AlignedBlock;

/** Two vocabularies and what is known of them. */
export interface MappedVocabularies {
  /** The target's tokenizer. */
  target: Tokenizer;
  /** The source's tokenizer. */
  source: Tokenizer;
  /** Images of every source token. */
  mapping: readonly VocabMappingRow[];
}

/** How methods for whole blocks do it. */
export interface BlockOptions {
  /** Candidates of each side that are transported. */
  topK?: number;
  /** When transport stops. */
  threshold?: number;
  /** Which defects to reproduce. */
  defects?: ReferenceDefects;
}

/** A block, rewritten. */
export interface AlignedBlock {
  /** What came out. */
  row: AlignedRow;
  /** Rows of weight 1 that do not tell what the source says. */
  fallbackRows: number;
}

/** What a model says at one position: a slice of its block. */
export interface Candidates {
  /** Best ids of the block, padded with −1. */
  ids: Int32Array;
  /** Their logprobs. */
  logprobs: Float32Array;
  /** The first of the position. */
  first: number;
  /** The entry behind the last. */
  end: number;
}

/** What both models say at one position pair. */
export interface Pair {
  /** How their tokens relate there. */
  relation: TokenRelation;
  /** What the source says. */
  source: Candidates;
  /** What the target says; its K may differ. */
  target: Candidates;
}

/** Mass over the target's vocabulary: at most 1, the rest is the residual. */
export interface Masses {
  /** Different target tokens. */
  ids: ArrayLike<number>;
  /** The mass of each. */
  masses: ArrayLike<number>;
  /** How many of them count. */
  length: number;
  /** L1 marginal error of the transport; 0 where nothing was solved. */
  marginalError: number;
}

/** How the methods that transport do it. */
export interface TransportOptions {
  /** See `SinkhornOptions`; a plan is never asked for. */
  sinkhorn: SinkhornOptions;
  /** Tokens of the target, V. */
  vocabSize: number;
  /** Images of a source token at most. */
  mostImages: number;
  /** Solves problems on a GPU, where there is one. */
  solve?: (
    problems: TransportProblems,
    options: SinkhornOptions,
  ) => Promise<SinkhornOutput>;
}
