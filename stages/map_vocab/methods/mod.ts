/**
 * How a source token without an exact counterpart is mapped. To add a method,
 * add a file and a row of {@linkcode methods}; the tests iterate over the table.
 *
 * @module
 */

import { coOccurrence } from "./co_occurrence.ts";
import { exactMatch } from "./exact_match.ts";
import { firstPiece } from "./first_piece.ts";
import type { MapMethod } from "./method.ts";
import { minEditDistance } from "./min_edit_distance.ts";
import { projection } from "./projection.ts";
import { reference } from "./reference.ts";
import { referenceCoOccurrence } from "./reference_co_occurrence.ts";
import { referenceStatistics } from "./reference_statistics.ts";
import { statistics } from "./statistics.ts";

export type {
  Image,
  MapInputs,
  MapMethod,
  MapMethodFacts,
  MapSetting,
  MapSettings,
  TokenMapper,
  TokenMethod,
  TokenWorkers,
  VocabularyMapper,
  VocabularyMethod,
} from "./method.ts";

/** Every method, by the name `--method` takes. */
export const methods = {
  "exact-match": exactMatch,
  "min-edit-distance": minEditDistance,
  "co-occurrence": coOccurrence,
  "statistics": statistics,
  "projection": projection,
  "first-piece": firstPiece,
  "reference": reference,
  "reference-co-occurrence": referenceCoOccurrence,
  "reference-statistics": referenceStatistics,
} satisfies Record<string, MapMethod>;

/** A name that `--method` takes. */
export type MapMethodName = keyof typeof methods;
