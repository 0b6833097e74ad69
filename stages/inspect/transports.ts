import {
  type SinkhornOptions,
  type SinkhornOutput,
  sinkhornScaling,
  type TransportProblems,
} from "#/kernels/mod.ts";
import type { Transport } from "./inspection.ts";

/** Tokens that a pair's problem may move mass between. */
export interface TransportTokens {
  /** Source tokens that have somewhere to go, in order. */
  sourceIds: readonly number[];
  /** Target tokens: its candidates, then the other images, in order. */
  targetIds: readonly number[];
}

/** Solves transport problems on the CPU and remembers them. */
export class RecordingSolver {
  #solved: { problems: TransportProblems; output: SinkhornOutput } | undefined;

  /**
   * Solve, keeping the plans.
   *
   * @param problems One problem per pair.
   * @param options How to.
   * @returns The solutions.
   */
  readonly solve = (
    problems: TransportProblems,
    options: SinkhornOptions,
  ): Promise<SinkhornOutput> => {
    const output = sinkhornScaling(problems, { ...options, plan: true });
    this.#solved = { problems, output };
    return Promise.resolve(output);
  };

  /**
   * What was solved for a pair.
   *
   * @param index The pair.
   * @param tokens The tokens that meet there.
   * @returns Problem and solution, or nothing where the method does not
   * transport, or transports between other tokens than these.
   */
  at(index: number, tokens: TransportTokens): Transport | undefined {
    if (!this.#solved) return undefined;
    const { problems: { cost, a, b, rows, cols }, output } = this.#solved;
    const { sourceIds, targetIds } = tokens;
    const ours = a.subarray(index * rows, (index + 1) * rows);
    const theirs = b.subarray(index * cols, (index + 1) * cols);
    if (
      countOf(ours) !== sourceIds.length || countOf(theirs) !== targetIds.length
    ) return undefined;
    const matrix = (from: Float32Array, decimals: number) =>
      sourceIds.flatMap((_, i) =>
        targetIds.map((_, j) =>
          rounded(from[(index * rows + i) * cols + j]!, decimals)
        )
      );
    return {
      sourceIds,
      targetIds,
      a: sourceIds.map((_, i) => rounded(ours[i]!)),
      b: targetIds.map((_, j) => rounded(theirs[j]!)),
      cost: matrix(cost, 2),
      plan: matrix(output.plan!, 4),
    };
  }
}

/**
 * Round for the page.
 *
 * @param value The number.
 * @param decimals How many. Defaults to 4: there is no more to see.
 * @returns It, rounded.
 */
export function rounded(value: number, decimals = 4): number {
  return Math.round(value * 10 ** decimals) / 10 ** decimals;
}

function countOf(marginal: Float32Array): number {
  return marginal.reduce((count, mass) => count + (mass > 0 ? 1 : 0), 0);
}
