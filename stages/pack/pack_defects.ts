import type { Switches } from "#/stages/reference_switches.ts";

/** What published packing does that is thought to be wrong, one switch each. */
export const packDefects = {
  "cut-documents":
    "blocks follow each other and are cut wherever a row ends, instead of going whole into a row with room",
  "attention-across":
    "tokens see the blocks before their own in the row, and positions go on, which the teachers did not have",
  "labels-across":
    "the last token of a block has to predict the first of the next one in its row",
  "map-batches":
    "every 1000 blocks packing starts anew, so that a row is left short",
  "f16-metrics":
    "losses per token are averaged in f16; with --source-representations",
} as const;

/** Which of them are switched on. */
export type PackDefects = Switches<typeof packDefects>;
