/**
 * Finds nearest byte strings for {@linkcode NearestWorkers}.
 *
 * @module
 */
import { NearestBytes } from "#/kernels/edit_distance/nearest_bytes.ts";
import { buffersOf, serve } from "#/stages/rpc.ts";
import {
  type FlatStrings,
  type NearestStrings,
  stringsOf,
} from "./flat_strings.ts";

let nearest: NearestBytes;

const offered = {
  /** Indexes the strings that are candidates. */
  open(candidates: FlatStrings): Promise<void> {
    nearest = new NearestBytes(stringsOf(candidates));
    return Promise.resolve();
  },
  /** The nearest candidate of every query. */
  find(queries: FlatStrings): Promise<NearestStrings> {
    const count = queries.ends.length;
    const indexes = new Int32Array(count);
    const distances = new Int32Array(count);
    stringsOf(queries).forEach((query, at) => {
      const { index, distance } = nearest.find(query);
      indexes[at] = index;
      distances[at] = distance;
    });
    return Promise.resolve({ indexes, distances });
  },
};

/** What the worker answers. */
export type NearestMethods = typeof offered;

serve(offered, (result) => result ? buffersOf(result) : []);
