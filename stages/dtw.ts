import { NearestStrings } from "#/kernels/edit_distance/nearest_strings.ts";

/** How two sequences of tokens were laid over each other. */
export interface Warping {
  /** Source and target positions along the path, from start to end. */
  matches: [source: number, target: number][];
  /** Cost of the path. */
  distance: number;
  /** For every source position, the target positions it met, ascending. */
  sourceToTarget: number[][];
  /** For every target position, the source positions it met, ascending. */
  targetToSource: number[][];
}

/**
 * What it costs that two tokens meet.
 *
 * @param source The source's spelling.
 * @param target The target's.
 * @param edits Their edit distance, in code points.
 * @returns The cost, at least 0.
 */
export type WarpingCost = (
  source: string,
  target: string,
  edits: number,
) => number;

/** The step that led to a cell, in the order in which ties are broken. */
const DIAGONAL = 0;
const UP = 1;
const LEFT = 2;

/**
 * Dynamic time warping of two sequences of token spellings, with their edit
 * distance, in code points, as the cost of a match.
 *
 * A step goes on in both sequences, in the source or in the target; of equally
 * good ones, in this order. Distances are computed once per pair of different
 * spellings, and one byte a cell is kept: 2048 × 2048 tokens take 4 MB.
 *
 * @param source The source's spellings, at least one.
 * @param target The target's, at least one.
 * @param cost What it costs that two meet. Defaults to their edit distance.
 * @returns The cheapest path.
 * @throws {RangeError} If a sequence is empty.
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, Section 3.2.
 */
export function dtw(
  source: readonly string[],
  target: readonly string[],
  cost?: WarpingCost,
): Warping {
  if (source.length === 0 || target.length === 0) {
    throw new RangeError(
      `Cannot warp sequences: lengths are ${source.length} and ` +
        `${target.length}, expected at least 1`,
    );
  }
  const costs = distinctCosts(source, target, cost);
  const { steps, distance } = fill(costs, source.length, target.length);
  return { ...trace(steps, source.length, target.length), distance };
}

/** Costs between different spellings, and which one stands where. */
interface DistinctCosts {
  /** Costs to the target's spellings, for each of the source's. */
  rows: ArrayLike<number>[];
  sourceKinds: Int32Array;
  targetKinds: Int32Array;
}

function distinctCosts(
  source: readonly string[],
  target: readonly string[],
  cost: WarpingCost | undefined,
): DistinctCosts {
  const [sourceKinds, sourceSpellings] = kindsOf(source);
  const [targetKinds, targetSpellings] = kindsOf(target);
  const set = new NearestStrings(targetSpellings);
  const rows = sourceSpellings.map((spelling) => {
    const edits = set.distances(spelling);
    return cost
      ? targetSpellings.map((other, k) => cost(spelling, other, edits[k]!))
      : edits;
  });
  return { rows, sourceKinds, targetKinds };
}

function kindsOf(tokens: readonly string[]): [Int32Array, string[]] {
  const kinds = new Map<string, number>();
  const of = Int32Array.from(tokens, (token) => {
    const kind = kinds.get(token) ?? kinds.size;
    kinds.set(token, kind);
    return kind;
  });
  return [of, [...kinds.keys()]];
}

function fill(
  { rows, sourceKinds, targetKinds }: DistinctCosts,
  n: number,
  m: number,
): { steps: Uint8Array; distance: number } {
  const steps = new Uint8Array(n * m);
  // The row above, changed in place; only the first cell is free to enter.
  const sums = new Float64Array(m).fill(Infinity);
  for (let i = 0; i < n; i++) {
    const costs = rows[sourceKinds[i]!]!;
    const row = i * m;
    let diagonal = i === 0 ? 0 : Infinity;
    let left = Infinity;
    for (let j = 0; j < m; j++) {
      const up = sums[j]!;
      let least = diagonal;
      let step = DIAGONAL;
      if (up < least) {
        least = up;
        step = UP;
      }
      if (left < least) {
        least = left;
        step = LEFT;
      }
      steps[row + j] = step;
      diagonal = up;
      left = least + costs[targetKinds[j]!]!;
      sums[j] = left;
    }
  }
  return { steps, distance: sums[m - 1]! };
}

function trace(
  steps: Uint8Array,
  n: number,
  m: number,
): Omit<Warping, "distance"> {
  const matches: Warping["matches"] = [];
  let [i, j] = [n - 1, m - 1];
  while (i > 0 || j > 0) {
    matches.push([i, j]);
    const step = steps[i * m + j];
    if (step !== LEFT) i--;
    if (step !== UP) j--;
  }
  matches.push([0, 0]);
  matches.reverse();
  const sourceToTarget = Array.from({ length: n }, (): number[] => []);
  const targetToSource = Array.from({ length: m }, (): number[] => []);
  for (const [s, t] of matches) {
    sourceToTarget[s]!.push(t);
    targetToSource[t]!.push(s);
  }
  return { matches, sourceToTarget, targetToSource };
}
