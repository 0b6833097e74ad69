/**
 * How a source's distribution becomes one over the target's vocabulary. To add
 * a method, add a file and a row of {@linkcode methods}; the law tests iterate
 * over the table.
 *
 * @module
 */

import { exactMatch } from "./exact_match.ts";
import type { AlignMethod } from "./method.ts";
import { minEditDistance } from "./min_edit_distance.ts";
import { optimalTransport } from "./optimal_transport.ts";

export type { AlignMethod, Masses, Pair, TransportOptions } from "./method.ts";

/** Every method, by the name `--method` takes. */
export const methods = {
  "exact-match": exactMatch,
  "min-edit-distance": minEditDistance,
  "optimal-transport": optimalTransport,
} satisfies Record<string, AlignMethod>;

/** A name that `--method` takes. */
export type AlignMethodName = keyof typeof methods;
