import type { TransportProblems } from "#/kernels/mod.ts";
import type { Pair, SolvePairs, TransportOptions } from "./method.ts";
import { PairProblem } from "./pair_problem.ts";

/** A batch of problems, and what is needed to read it off. */
interface Batch {
  problems: TransportProblems;
  /** The columns of each problem. */
  targetIds: Int32Array[];
  /** The mass that each transports. */
  masses: Float64Array;
}

/**
 * Transport pairs many at a time.
 *
 * @param options How to transport.
 * @returns What rewrites pairs so.
 */
export function transportBatches(
  options: TransportOptions & Required<Pick<TransportOptions, "solve">>,
): SolvePairs {
  const problem = new PairProblem(options.vocabSize);
  return async (pairs, tell) => {
    if (pairs.length === 0) return;
    const { problems, targetIds, masses } = batchOf(pairs, problem, options);
    const { cols } = problems;
    const output = await options.solve(problems, options.sinkhorn);
    pairs.forEach((pair, index) => {
      const ids = targetIds[index]!;
      const mass = masses[index]!;
      const first = index * cols;
      const sums = output.columnSums.subarray(first, first + ids.length);
      tell(pair, {
        ids,
        masses: Float64Array.from(sums, (sum) => mass * sum),
        length: ids.length,
        marginalError: output.marginalError[index]!,
      });
    });
  };
}

function batchOf(
  pairs: readonly Pair[],
  problem: PairProblem,
  { mostImages }: TransportOptions,
): Batch {
  const { rows, cols } = sizeOf(pairs[0]!, mostImages);
  const cost = new Float32Array(pairs.length * rows * cols);
  const a = new Float32Array(pairs.length * rows);
  const b = new Float32Array(pairs.length * cols);
  const masses = new Float64Array(pairs.length);
  const targetIds = pairs.map((pair, index) => {
    problem.load(pair);
    const { rows: sources, columns, mass } = problem;
    masses[index] = mass;
    b.set(columns.masses.subarray(0, columns.length), index * cols);
    pair.relation.select(columns.ids, columns.length);
    for (let i = 0; i < sources.length; i++) {
      const row = index * rows + i;
      a[row] = sources.masses[i]! / mass;
      pair.relation.row(sources.ids[i]!, cost, row * cols, Infinity);
    }
    return columns.ids.slice(0, columns.length);
  });
  return { problems: { cost, a, b, rows, cols }, targetIds, masses };
}

/** One size for all batches of a run: a shader is compiled for each. */
function sizeOf({ source, target }: Pair, mostImages: number) {
  const rows = source.end - source.first;
  return { rows, cols: target.end - target.first + rows * mostImages };
}
