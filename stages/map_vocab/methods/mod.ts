/**
 * How a source token without an exact counterpart is mapped. To add a method,
 * add a file and a row of {@linkcode methods}.
 *
 * @module
 */

import type { MapMethod } from "./method.ts";
import { minEditDistance } from "./min_edit_distance.ts";

export type { Image, MapMethod } from "./method.ts";

/** Every method, by the name `--method` takes. */
export const methods = {
  "min-edit-distance": minEditDistance,
} satisfies Record<string, MapMethod>;

/** A name that `--method` takes. */
export type MapMethodName = keyof typeof methods;
