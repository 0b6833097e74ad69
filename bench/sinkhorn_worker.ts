/**
 * Solves its part of a batch of transport problems for the bench.
 *
 * @module
 */

import {
  type SinkhornOptions,
  type SinkhornOutput,
  sinkhornScaling,
  type TransportProblems,
} from "#/kernels/mod.ts";
import { serve } from "#/stages/rpc.ts";

let problems: TransportProblems;

const offered = {
  open(part: TransportProblems): Promise<void> {
    problems = part;
    return Promise.resolve();
  },
  solve(options: SinkhornOptions): Promise<SinkhornOutput> {
    return Promise.resolve(sinkhornScaling(problems, options));
  },
};

/** What the worker offers. */
export type SinkhornWorkerMethods = typeof offered;

serve(offered);
