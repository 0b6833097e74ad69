import { ReferenceStatistics } from "#/stages/map_vocab/reference/reference_statistics.ts";
import type { VocabularyMethod } from "./method.ts";

/** FuseChat's mapping by statistics with its defects, or with those that are switched on. */
export const referenceStatistics: VocabularyMethod = {
  description:
    "goes where FuseChat's mapping by statistics sends it as published",
  settings: ["text", "reference"],
  vocabulary: (target, source, settings) =>
    new ReferenceStatistics(target, source, settings),
};
