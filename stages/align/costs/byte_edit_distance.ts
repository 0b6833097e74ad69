import { editDistance } from "#/kernels/mod.ts";
import type { Cost } from "./cost.ts";

/** Bytes to insert, delete and substitute, a leading space included. */
export const byteEditDistance: Cost = {
  description: "edits of the decoded bytes",
  countsEdits: true,
  make: () => editDistance,
};
