import { mapReference } from "#/stages/map_vocab/reference/map_reference.ts";
import type { VocabularyMethod } from "./method.ts";

/** FuseLLM's mapping with its defects, or with those that are switched on. */
export const reference: VocabularyMethod = {
  description: "goes where FuseLLM's mapping sends it as published",
  settings: ["reference"],
  vocabulary: (target, source, { defects }) =>
    mapReference(target, source, defects),
};
