import { type SinkhornOutput, type TransportProblems } from "#/kernels/mod.ts";
import {
  type Masses,
  MassTable,
  type Pair,
  type PairMethod,
  type TransportOptions,
} from "./method.ts";

/** The least probability of a column outside of the target's top k. */
const LEAST = 1e-9;

/**
 * Transport the source's mass to the target's tokens, semi-relaxed.
 *
 * Rows are the source's top k, a = p / Σ p. Columns are the target's top k
 * joined with the images of the rows; b is the target's probability, elsewhere
 * an even share of its residual, normalized. C is the cost
 * between tokens, by default the edit distance of decoded bytes. Rows are met exactly, columns at the price τ, so that mass stays where
 * it is free to stay, and goes to what the target finds likely where several
 * tokens are equally near. The residual, and the mass of candidates that have
 * nowhere to go, is not transported. What comes out are column sums times the
 * mass that was transported.
 */
export const optimalTransport: PairMethod = {
  description: "transport that meets the source's distribution",
  corrected: true,
  settings: ["epsilon", "tau", "threshold", "iterations", "cost"],
  pairs: transport,
};

async function transport(
  pairs: readonly Pair[],
  options: TransportOptions,
): Promise<Masses[]> {
  if (pairs.length === 0) return [];
  const problems = pairs.map((pair) => pairProblem(pair, options.vocabSize));
  const size = sizeOf(pairs, options.mostImages);
  const batch = padded(problems, size);
  const solution = await options.solve(batch, options.sinkhorn);
  return problems.map((problem, index) =>
    readOff(problem, solution, index, size.cols)
  );
}

/** One pair's problem, without padding. */
interface PairProblem {
  pair: Pair;
  sourceIds: number[];
  sourceMasses: number[];
  targetIds: number[];
  targetMasses: number[];
  /** Σ of `sourceMasses`. */
  mass: number;
}

function pairProblem(pair: Pair, vocabSize: number): PairProblem {
  const rows = new MassTable();
  const columns = new MassTable();
  let mass = 0;
  let known = 0;
  for (let k = 0; k < pair.targetIds.length; k++) {
    const id = pair.targetIds[k]!;
    if (id < 0) continue;
    const p = Math.exp(pair.targetLogprobs[k]!);
    columns.add(id, Math.max(p, LEAST));
    known += p;
  }
  const topK = columns.ids.length;
  const share = Math.max(0, 1 - known) / Math.max(1, vocabSize - topK);
  for (let k = 0; k < pair.sourceIds.length; k++) {
    const id = pair.sourceIds[k]!;
    const p = Math.exp(pair.sourceLogprobs[k]!);
    if (id < 0 || !(p > 0)) continue;
    const images = pair.relation.images(id);
    if (images.length === 0) continue;
    rows.add(id, p);
    mass += p;
    for (const { targetId } of images) {
      if (!columns.ids.includes(targetId)) {
        columns.add(targetId, Math.max(share, LEAST));
      }
    }
  }
  return {
    pair,
    sourceIds: rows.ids,
    sourceMasses: rows.masses,
    targetIds: columns.ids,
    targetMasses: columns.masses,
    mass,
  };
}

/** One size for all batches of a run: a shader is compiled for each. */
function sizeOf(pairs: readonly Pair[], mostImages: number) {
  const { sourceIds, targetIds } = pairs[0]!;
  const rows = sourceIds.length;
  return { rows, cols: targetIds.length + rows * mostImages };
}

function padded(
  problems: readonly PairProblem[],
  { rows, cols }: { rows: number; cols: number },
): TransportProblems {
  const batch = problems.length;
  const cost = new Float32Array(batch * rows * cols);
  const a = new Float32Array(batch * rows);
  const b = new Float32Array(batch * cols);
  problems.forEach((problem, index) => {
    const { sourceIds, sourceMasses, targetIds, targetMasses, mass } = problem;
    const { relation } = problem.pair;
    const total = targetMasses.reduce((sum, value) => sum + value, 0);
    for (let j = 0; j < targetMasses.length; j++) {
      b[index * cols + j] = targetMasses[j]! / total;
    }
    for (let i = 0; i < sourceIds.length; i++) {
      a[index * rows + i] = sourceMasses[i]! / mass;
      const row = (index * rows + i) * cols;
      relation.costs(sourceIds[i]!, targetIds, cost, row);
    }
  });
  return { cost, a, b, rows, cols };
}

function readOff(
  { targetIds, mass }: PairProblem,
  { columnSums, marginalError }: SinkhornOutput,
  index: number,
  cols: number,
): Masses {
  return {
    ids: targetIds,
    masses: targetIds.map((_, j) => mass * columnSums[index * cols + j]!),
    marginalError: marginalError[index]!,
  };
}
