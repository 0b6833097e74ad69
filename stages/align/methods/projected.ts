import type { TokenImage } from "#/stages/align/token_relations.ts";
import { type Masses, MassTable, type Pair } from "./method.ts";

/**
 * Send the mass of every source candidate to its images.
 *
 * @param pair A position pair.
 * @param takes Which images take part.
 * @returns The mass that arrives, added up where images coincide; the rest is
 * the residual's.
 */
export function projected(
  { relation, sourceIds, sourceLogprobs }: Pair,
  takes: (image: TokenImage) => boolean,
): Masses {
  const table = new MassTable();
  sourceIds.forEach((sourceId, k) => {
    if (sourceId < 0) return;
    const mass = Math.exp(sourceLogprobs[k]!);
    for (const image of relation.images(sourceId)) {
      if (takes(image)) table.add(image.targetId, mass * image.weight);
    }
  });
  return { ids: table.ids, masses: table.masses, marginalError: 0 };
}
