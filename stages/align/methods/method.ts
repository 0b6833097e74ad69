import type {
  SinkhornOptions,
  SinkhornOutput,
  TransportProblems,
} from "#/kernels/mod.ts";
import type { TokenRelation } from "#/stages/align/token_relations.ts";

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

/**
 * Rewrites a source's distributions over the target's vocabulary.
 *
 * @param pairs Position pairs.
 * @param options How to transport.
 * @returns One distribution per pair.
 */
export type AlignMethod = (
  pairs: readonly Pair[],
  options: TransportOptions,
) => Promise<Masses[]>;

/** Mass that arrives token by token, added up. */
export class MassTable {
  readonly #slots = new Map<number, number>();
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
    const slot = this.#slots.get(id);
    if (slot !== undefined) {
      this.masses[slot]! += mass;
      return;
    }
    this.#slots.set(id, this.ids.length);
    this.ids.push(id);
    this.masses.push(mass);
  }
}
