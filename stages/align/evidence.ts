import type { AlignedRow, RepresentationRow } from "#/shards/mod.ts";
import type { PositionPairs } from "./position_pairs.ts";

/** What an alignment kept and what it lost; shares and means are 0 to 1 unless said otherwise. */
export interface Evidence {
  /** Rows with a label, of the blocks that this run has aligned. */
  labelledRows: number;
  /** Share of them that a source row faces by byte offset. */
  paired: number;
  /** Share of them that have a distribution to learn from. */
  taught: number;
  /** Share of them that learn nothing of the source: no distribution, or a one-hot of their own. */
  fallback: number;
  /**
   * Mean over rows both paired and taught of the source's stored mass less the
   * aligned one; negative where a method makes up mass, as by renormalizing.
   */
  massLost: number;
  /** Mean over the same rows of the L1 marginal error, at most 2. */
  marginalError: number;
  /** Share of the source's mass, where rows are paired, on tokens with an exact image. */
  exactMass: number;
}

/** One block, aligned. */
export interface AlignedPairs {
  /** What the source said. */
  sourceRow: RepresentationRow;
  /** Which rows face each other by byte offset. */
  pairs: PositionPairs;
  /** What came out. */
  row: AlignedRow;
  /** Rows of weight 1 that do not tell what the source says. */
  fallbackRows: number;
}

/** Adds up evidence, block by block. */
export class EvidenceTally {
  #labelled = 0;
  #paired = 0;
  #taught = 0;
  #fallback = 0;
  #taughtPairs = 0;
  #lost = 0;
  #error = 0;
  #mass = 0;
  #exact = 0;

  /**
   * Count a block.
   *
   * @param block What became of it.
   * @param hasExactImage Whether a source token has an image at distance 0.
   */
  add(
    { sourceRow, pairs, row, fallbackRows }: AlignedPairs,
    hasExactImage: (sourceId: number) => boolean,
  ): void {
    const labelled = Math.max(0, row.weight.length - 1);
    const taught = row.weight.reduce((sum, w) => sum + (w > 0 ? 1 : 0), 0);
    this.#labelled += labelled;
    this.#paired += pairs.target.length;
    this.#taught += taught;
    this.#fallback += labelled - taught + fallbackRows;
    pairs.target.forEach((t, k) => {
      const said = this.#read(sourceRow, pairs.source[k]!, hasExactImage);
      if (!(row.weight[t]! > 0)) return;
      this.#taughtPairs++;
      this.#lost += said - massAt(row, t);
      this.#error += row.marginalError[t]!;
    });
  }

  /**
   * Sum up.
   *
   * @returns The evidence so far.
   */
  summary(): Evidence {
    const share = (part: number, all: number) => all > 0 ? part / all : 0;
    return {
      labelledRows: this.#labelled,
      paired: share(this.#paired, this.#labelled),
      taught: share(this.#taught, this.#labelled),
      fallback: share(this.#fallback, this.#labelled),
      massLost: share(this.#lost, this.#taughtPairs),
      marginalError: share(this.#error, this.#taughtPairs),
      exactMass: share(this.#exact, this.#mass),
    };
  }

  #read(
    row: RepresentationRow,
    s: number,
    hasExactImage: (sourceId: number) => boolean,
  ): number {
    let mass = 0;
    for (let k = s * row.topK; k < (s + 1) * row.topK; k++) {
      const p = Math.exp(row.topkLogprobs[k]!);
      const id = row.topkIds[k]!;
      if (id < 0 || !(p > 0)) continue;
      mass += p;
      if (hasExactImage(id)) this.#exact += p;
    }
    this.#mass += mass;
    return mass;
  }
}

function massAt({ topK, topkIds, topkLogprobs }: AlignedRow, t: number) {
  let mass = 0;
  for (let k = t * topK; k < (t + 1) * topK; k++) {
    if (topkIds[k]! >= 0) mass += Math.exp(topkLogprobs[k]!);
  }
  return mass;
}
