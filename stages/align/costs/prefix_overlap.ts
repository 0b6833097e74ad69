import type { Cost } from "./cost.ts";

/**
 * The bytes of either token behind their common prefix: edits that only take
 * away from the end and add to it. Tokens that begin alike predict the same
 * next bytes; tokens that end alike do not.
 */
export const prefixOverlap: Cost = {
  description: "bytes behind the common prefix",
  make: () => (from, to) => {
    const most = Math.min(from.length, to.length);
    let common = 0;
    while (common < most && from[common] === to[common]) common++;
    return from.length + to.length - 2 * common;
  },
};
