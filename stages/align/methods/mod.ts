/**
 * How a source's distribution becomes one over the target's vocabulary. To add
 * a method, add a file and a row of {@linkcode methods}; the law tests iterate
 * over the table.
 *
 * @module
 */

import { balanced } from "./balanced.ts";
import { continuations } from "./continuations.ts";
import { exactMatch } from "./exact_match.ts";
import { images } from "./images.ts";
import { likelihood } from "./likelihood.ts";
import type { AlignMethod } from "./method.ts";
import { optimalTransport } from "./optimal_transport.ts";
import { reference } from "./reference.ts";
import { sourceTokens } from "./source_tokens.ts";

export type {
  AlignBlocks,
  AlignedBlock,
  AlignMethod,
  AlignMethodFacts,
  AlignPairs,
  AlignSetting,
  BlockMethod,
  BlockOptions,
  Candidates,
  MappedVocabularies,
  Masses,
  Pair,
  PairMethod,
  SolvePairs,
  TransportOptions,
} from "./method.ts";

/** Every method, by the name `--method` takes. */
export const methods = {
  "exact-match": exactMatch,
  "images": images,
  // The same, by the name of the mapping that it goes with by default.
  "min-edit-distance": images,
  "optimal-transport": optimalTransport,
  "balanced": balanced,
  "continuations": continuations,
  "likelihood": likelihood,
  "source-tokens": sourceTokens,
  "reference-hard": reference("hard", "FuseLLM's exact match as published"),
  "reference-soft": reference("soft", "FuseLLM's mapping as published"),
  "reference-ot": reference("soft-ot", "PTA-LLM's transport as published"),
} satisfies Record<string, AlignMethod>;

/** A name that `--method` takes. */
export type AlignMethodName = keyof typeof methods;
