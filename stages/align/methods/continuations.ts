import type { RepresentationRow } from "#/shards/mod.ts";
import { ContinuationReader } from "#/stages/align/continuation_reader.ts";
import { emptyRow } from "#/stages/align/empty_row.ts";
import { writeTop } from "#/stages/align/write_top.ts";
import type { BlockMethod } from "./method.ts";

/**
 * Ask the source, at every row, how the text goes on, and let the target write
 * that down.
 *
 * The tokens that a source expects are ways in which the text may go on, and the
 * target writes each as pieces of its own. A row of the target learns the next
 * piece of those that agree with what it has read since both tokenizers last
 * stood at the same byte; their mass is divided by that of all that agree. This
 * is the chain rule, so the logprobs of the labels between two such bytes add up
 * to the source's of that stretch, and of whatever else begins with the same
 * pieces. It speaks at rows inside of source tokens, too, where no method for
 * position pairs does, and does not take the start of what the target writes as
 * one token for a token of its own.
 *
 * What the tail of the top k hides counts as spread evenly over the source's
 * vocabulary; the token that the source reads next takes part in any case, by
 * its own logprob.
 *
 * @see {@link https://arxiv.org/abs/2412.03719} (Vieira et al. 2024) and
 * {@link https://arxiv.org/abs/2410.09303} (Phan et al. 2024), on models of
 * tokens as models of bytes; docs/continuations.md.
 */
export const continuations: BlockMethod = {
  description:
    "at every row, the next piece of what the source expects, as the target would write it",
  corrected: true,
  needsEncoder: true,
  settings: [],
  blocks: (vocabularies, { topK }) => {
    const reader = new ContinuationReader(vocabularies);
    return (targetRow: RepresentationRow, sourceRow: RepresentationRow) => {
      const most = topK ?? sourceRow.topK;
      const row = emptyRow(targetRow, sourceRow, most);
      for (const { t, masses } of reader.read(targetRow, sourceRow, most)) {
        row.weight[t] = writeTop(masses, row, t) > 0 ? 1 : 0;
      }
      return { row, fallbackRows: 0 };
    };
  },
};
