import type { AlignedRow, RepresentationRow } from "#/shards/mod.ts";
import type { PositionPairs } from "./position_pairs.ts";

/** What an alignment kept and what it lost; shares and means are 0 to 1 unless said otherwise. */
export interface Evidence {
  /** Rows with a label. */
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

/** What there is to count; sums of all are what evidence is told from. */
const COUNTED = [
  "labelled",
  "paired",
  "taught",
  "fallback",
  "taughtPairs",
  "lost",
  "error",
  "mass",
  "exact",
] as const;

/** How many numbers are counted of a block. */
export const EVIDENCE_COUNTS: number = COUNTED.length;

/** What is counted of a block, or of several: numbers that add up. */
export type EvidenceCounts = Float64Array<ArrayBuffer>;

type Counts = Record<typeof COUNTED[number], number>;

/**
 * Count a block.
 *
 * @param block What became of it.
 * @param hasExactImage Whether a source token has an image at distance 0.
 * @returns What to add to an {@linkcode EvidenceTally}.
 */
export function countEvidence(
  { sourceRow, pairs, row, fallbackRows }: AlignedPairs,
  hasExactImage: (sourceId: number) => boolean,
): EvidenceCounts {
  const labelled = Math.max(0, row.weight.length - 1);
  const taught = row.weight.reduce((sum, w) => sum + (w > 0 ? 1 : 0), 0);
  const counts: Counts = {
    labelled,
    paired: pairs.target.length,
    taught,
    fallback: labelled - taught + fallbackRows,
    taughtPairs: 0,
    lost: 0,
    error: 0,
    mass: 0,
    exact: 0,
  };
  for (let k = 0; k < pairs.target.length; k++) {
    const t = pairs.target[k]!;
    const said = readMass(sourceRow, pairs.source[k]!, hasExactImage, counts);
    if (!(row.weight[t]! > 0)) continue;
    counts.taughtPairs++;
    counts.lost += said - massAt(row, t);
    counts.error += row.marginalError[t]!;
  }
  return Float64Array.from(COUNTED, (name) => counts[name]);
}

/** Adds up evidence, block by block. */
export class EvidenceTally {
  readonly #sums: EvidenceCounts = new Float64Array(EVIDENCE_COUNTS);

  /**
   * Add.
   *
   * @param counts What {@linkcode countEvidence} says of a block, or sums of it.
   */
  add(counts: EvidenceCounts): void {
    counts.forEach((count, k) => this.#sums[k]! += count);
  }

  /** What has been added up. */
  get counts(): EvidenceCounts {
    return this.#sums.slice();
  }

  /**
   * Sum up.
   *
   * @returns The evidence so far.
   */
  summary(): Evidence {
    const sums = Object.fromEntries(
      COUNTED.map((name, k) => [name, this.#sums[k]!]),
    ) as Counts;
    const share = (part: number, all: number) => all > 0 ? part / all : 0;
    return {
      labelledRows: sums.labelled,
      paired: share(sums.paired, sums.labelled),
      taught: share(sums.taught, sums.labelled),
      fallback: share(sums.fallback, sums.labelled),
      massLost: share(sums.lost, sums.taughtPairs),
      marginalError: share(sums.error, sums.taughtPairs),
      exactMass: share(sums.exact, sums.mass),
    };
  }
}

function readMass(
  row: RepresentationRow,
  s: number,
  hasExactImage: (sourceId: number) => boolean,
  counts: Counts,
): number {
  let mass = 0;
  for (let k = s * row.topK; k < (s + 1) * row.topK; k++) {
    const p = Math.exp(row.topkLogprobs[k]!);
    const id = row.topkIds[k]!;
    if (id < 0 || !(p > 0)) continue;
    mass += p;
    if (hasExactImage(id)) counts.exact += p;
  }
  counts.mass += mass;
  return mass;
}

function massAt({ topK, topkIds, topkLogprobs }: AlignedRow, t: number) {
  let mass = 0;
  for (let k = t * topK; k < (t + 1) * topK; k++) {
    if (topkIds[k]! >= 0) mass += Math.exp(topkLogprobs[k]!);
  }
  return mass;
}
