import { ReferenceCoOccurrence } from "#/stages/map_vocab/reference/reference_co_occurrence.ts";
import type { VocabularyMethod } from "./method.ts";

/** FuseLLM's re-ranking by co-occurrence with its defects, or with those that are switched on. */
export const referenceCoOccurrence: VocabularyMethod = {
  description:
    "goes where FuseLLM's mapping by co-occurrence sends it as published",
  settings: ["text", "window", "reference"],
  vocabulary: (target, source, settings) =>
    new ReferenceCoOccurrence(target, source, settings),
};
