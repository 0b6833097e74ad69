import { MassTable } from "./mass_table.ts";
import type { Candidates, Pair } from "./method.ts";

/** The least probability of a column outside of the target's top k. */
const LEAST = 1e-9;

/**
 * The transport problem of one pair; loaded anew, it serves the next.
 *
 * Rows are the source's top k. Columns are the target's top k joined with the
 * images of the rows; their mass is the target's probability, elsewhere an even
 * share of its residual.
 */
export class PairProblem {
  /** The source's tokens and their probabilities. */
  readonly rows: MassTable = new MassTable();
  /** Tokens of the target and their probabilities, which do not sum to 1. */
  readonly columns: MassTable = new MassTable();
  readonly #vocabSize: number;

  /**
   * Prepare.
   *
   * @param vocabSize Tokens of the target, V.
   */
  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
  }

  /** The mass that is transported: that of the rows. */
  get mass(): number {
    return sumOf(this.rows);
  }

  /**
   * Load a pair.
   *
   * @param pair What both models say.
   */
  load({ relation, source, target }: Pair): void {
    const share = this.#loadTarget(target);
    const { rows, columns } = this;
    rows.clear();
    for (let k = source.first; k < source.end; k++) {
      const id = source.ids[k]!;
      const p = Math.exp(source.logprobs[k]!);
      if (id < 0 || !(p > 0)) continue;
      const exact = relation.exactImage(id);
      if (exact >= 0) {
        rows.add(id, p);
        if (columns.slotOf(exact) < 0) columns.push(exact, share);
        continue;
      }
      const images = relation.images(id);
      if (images.length > 0) rows.add(id, p);
      for (const { targetId } of images) {
        if (columns.slotOf(targetId) < 0) columns.push(targetId, share);
      }
    }
    normalize(columns);
  }

  /** Columns of the target's own; the share of every other token. */
  #loadTarget({ ids, logprobs, first, end }: Candidates): number {
    const { columns } = this;
    let known = 0;
    columns.clear();
    for (let k = first; k < end; k++) {
      const id = ids[k]!;
      if (id < 0) continue;
      const p = Math.exp(logprobs[k]!);
      columns.add(id, Math.max(p, LEAST));
      known += p;
    }
    const others = Math.max(1, this.#vocabSize - columns.length);
    return Math.max(Math.max(0, 1 - known) / others, LEAST);
  }
}

function normalize(table: MassTable): void {
  const total = sumOf(table);
  for (let slot = 0; slot < table.length; slot++) {
    table.masses[slot]! /= total;
  }
}

function sumOf({ masses, length }: MassTable): number {
  let sum = 0;
  for (let slot = 0; slot < length; slot++) sum += masses[slot]!;
  return sum;
}
