import type { TokenImage } from "#/stages/align/token_relation.ts";
import { MassTable } from "./mass_table.ts";
import type { Pair, SolvePairs } from "./method.ts";

/**
 * Send the mass of every source candidate to its images, added up where images
 * coincide; the rest is the residual's.
 *
 * @param takes Which images take part.
 * @returns What rewrites pairs so.
 */
export function projected(takes: (image: TokenImage) => boolean): SolvePairs {
  const table = new MassTable();
  return (pairs, tell) => {
    for (const pair of pairs) {
      project(pair, takes, table);
      tell(pair, table);
    }
  };
}

function project(
  { relation, source: { ids, logprobs, first, end } }: Pair,
  takes: (image: TokenImage) => boolean,
  table: MassTable,
): void {
  table.clear();
  for (let k = first; k < end; k++) {
    if (ids[k]! < 0) continue;
    const mass = Math.exp(logprobs[k]!);
    for (const image of relation.images(ids[k]!)) {
      if (takes(image)) table.add(image.targetId, mass * image.weight);
    }
  }
}
