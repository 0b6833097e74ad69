/** One way to do the work; says how many seconds it took. */
export type Contestant = () => Promise<number>;

/**
 * Let contestants run in turn, so that what else the machine does hits all of
 * them, and take the best of each.
 *
 * @param contestants By name; an absent one is left out.
 * @param rounds How often each runs. Defaults to 3.
 * @returns The least seconds of each.
 */
export async function takeTurns<Name extends string>(
  contestants: Record<Name, Contestant | undefined>,
  rounds = 3,
): Promise<Partial<Record<Name, number>>> {
  const best: Partial<Record<Name, number>> = {};
  for (let round = 0; round < rounds; round++) {
    for (const name of Object.keys(contestants) as Name[]) {
      const run = contestants[name];
      if (!run) continue;
      best[name] = Math.min(best[name] ?? Infinity, await run());
    }
  }
  return best;
}

/**
 * A contestant that runs here.
 *
 * @param work What to time.
 * @param times How often in a row, for work too short to be timed. Defaults to 1.
 * @returns The contestant.
 */
export function timed(work: () => unknown, times = 1): Contestant {
  return async () => {
    const start = performance.now();
    for (let time = 0; time < times; time++) await work();
    return (performance.now() - start) / 1000 / times;
  };
}

/** How long threads that wait for more work may keep a core busy. */
const REST_MS = 100;

/**
 * A contestant that starts on an idle machine: threads of the one before may spin
 * for a while.
 *
 * @param contestant The contestant; an absent one stays absent.
 * @returns The same after a rest, which does not count.
 */
export function rested<Some extends Contestant | undefined>(
  contestant: Some,
): Some {
  if (!contestant) return contestant;
  return (async () => {
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    return await contestant();
  }) as Some;
}
