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
import type { TokenRelation } from "#/stages/align/token_relations.ts";
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
 * Rewrites distributions at position pairs.
 *
 * @param pairs Position pairs.
 * @param options How to transport.
 * @returns One distribution per pair.
 */
export type AlignPairs = (
  pairs: readonly Pair[],
  options: TransportOptions,
) => Promise<Masses[]>;

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

/** What both models say at one position pair. */
export interface Pair {
  /** How their tokens relate there. */
  relation: TokenRelation;
  /** The source's best ids, `[K]`, padded with −1. */
  sourceIds: Int32Array;
  /** Their logprobs, `[K]`. */
  sourceLogprobs: Float32Array;
  /** The target's best ids, `[K]`, padded with −1; K may differ. */
  targetIds: Int32Array;
  /** Their logprobs, `[K]`. */
  targetLogprobs: Float32Array;
}

/** Mass over the target's vocabulary: at most 1, the rest is the residual. */
export interface Masses {
  /** Different target tokens. */
  ids: number[];
  /** The mass of each. */
  masses: number[];
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
  /** Solves the problems: on the GPU, or on the CPU. */
  solve: (
    problems: TransportProblems,
    options: SinkhornOptions,
  ) => Promise<SinkhornOutput>;
}

/** Mass that arrives token by token, added up. */
export class MassTable {
  /** The tokens that have arrived, in order of arrival. */
  readonly ids: number[] = [];
  /** The mass of each. */
  readonly masses: number[] = [];

  /**
   * Add mass.
   *
   * @param id The token.
   * @param mass How much arrives.
   */
  add(id: number, mass: number): void {
    // They are few: a search is faster than a map.
    const slot = this.ids.indexOf(id);
    if (slot >= 0) {
      this.masses[slot]! += mass;
      return;
    }
    this.ids.push(id);
    this.masses.push(mass);
  }
}
