/**
 * What the method lab found, for the notebook that draws it: the results of
 * `pta run ablation --docs docs`, which are committed.
 *
 * @module
 */

import type { AblationResults, ArmResult } from "#/runs/ablation/report.ts";
import type { Point } from "./plot.ts";

/** Whom an arm is measured against. */
export type Base = "plain" | "all corrected";

/**
 * Read the lab's results.
 *
 * @returns What docs/ablation.json holds.
 */
export async function readAblation(): Promise<AblationResults> {
  const file = new URL("../docs/ablation.json", import.meta.url);
  return JSON.parse(await Deno.readTextFile(file));
}

/**
 * What arms gain over one of them, seed by seed.
 *
 * @param arms The arms, that one included.
 * @param base Its name.
 * @returns Thousandths of a bit per byte; positive is better.
 * @throws {RangeError} If there is no such arm.
 */
export function gainPoints(arms: readonly ArmResult[], base: Base): Point[] {
  const against = arms.find(({ name }) => name === base);
  if (!against) {
    const names = arms.map(({ name }) => name).join(", ");
    throw new RangeError(`Cannot compare with ${base}: it is none of ${names}`);
  }
  return arms.filter((arm) => arm !== against).flatMap((
    { name: series, students },
  ) =>
    students.flatMap(({ bits_per_byte }, i) =>
      Object.entries(bits_per_byte).map(([x, y]) => ({
        series,
        x,
        y: 1000 * (against.students[i]!.bits_per_byte[x]! - y),
      }))
    )
  );
}
