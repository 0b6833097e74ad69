import { type Contestant, rested } from "#/bench/measure.ts";

/** What a part of the work takes, and the whole of it. */
export interface Part {
  /** Median seconds of the work with the part. */
  whole: number;
  /** Median of how much longer that takes than the work without the part. */
  part: number;
}

/**
 * Time a part of some work that cannot be run alone: the work with it and without,
 * in turn.
 *
 * Medians, as a difference of two noisy times may be far too small, too.
 *
 * @param contestants By name, the work with the part and without; an absent one is
 * left out.
 * @param rounds How often each runs.
 * @returns What the part takes, for each.
 */
export async function timeParts<Name extends string>(
  contestants: Record<
    Name,
    { whole: Contestant; without: Contestant } | undefined
  >,
  rounds: number,
): Promise<Partial<Record<Name, Part>>> {
  const names = (Object.keys(contestants) as Name[])
    .filter((name) => contestants[name]);
  const runs = new Map(names.map((name) => [name, [] as number[][]]));
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const { whole, without } = contestants[name]!;
      const pair = [await rested(whole)(), await rested(without)()];
      // The first ones allocate.
      if (round > 0) runs.get(name)!.push(pair);
    }
  }
  const parts: Partial<Record<Name, Part>> = {};
  for (const [name, pairs] of runs) {
    parts[name] = {
      whole: median(pairs.map(([whole]) => whole!)),
      part: median(pairs.map(([whole, without]) => whole! - without!)),
    };
  }
  return parts;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
