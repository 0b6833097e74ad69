import type { AlignedRow, RepresentationRow } from "#/shards/mod.ts";
import { emptyRow } from "#/stages/align/empty_row.ts";
import { lastEnd, positionPairs } from "#/stages/align/position_pairs.ts";
import { spanLogprobs } from "#/stages/align/span_logprobs.ts";
import type { BlockMethod } from "./method.ts";

/**
 * Tell every row how likely the source finds its label, and nothing of other
 * tokens: Approximate Likelihood Matching, as distributions.
 *
 * A chunk is the bytes from one position pair to the next, and log P what the
 * source makes of it, by the chain rule over its own tokens. Where one token of
 * the target spells the chunk, its row is {label: P}, all else is residual. Where
 * several do, their logprobs sum to log P, in proportion to those that the target
 * itself gives them, so that a source that finds the chunk as likely as the
 * target does asks for no change; evenly, where the target is sure of all.
 *
 * So rows are taught that no source row faces, and the vocabulary mapping plays
 * no part. The law of the other methods cannot hold: of a source with the
 * target's tokenizer the label's probability comes out, and 1 less it as the
 * residual. Cross-entropy and KL with the residual a `bucket` are then the
 * binarized divergence of each label; that of whole chunks is `--loss alm`.
 *
 * @see Minixhofer et al. 2025, {@link https://arxiv.org/abs/2503.20083}.
 */
export const likelihood: BlockMethod = {
  description:
    "labels get the source's likelihood of their bytes, all other tokens are residual (ALM)",
  corrected: false,
  settings: [],
  blocks: (_, { topK }) => (targetRow, sourceRow) => {
    const row = emptyRow(targetRow, sourceRow, topK ?? sourceRow.topK);
    const pairs = positionPairs(targetRow.byteEnds, sourceRow.byteEnds);
    const likelihoods = spanLogprobs(pairs, sourceRow);
    likelihoods.forEach((logprob, k) => {
      const first = pairs.target[k]!;
      const end = pairs.target[k + 1] ?? lastEnd(targetRow.byteEnds, first);
      teachChunk(row, targetRow, { first, end, logprob });
    });
    return { row, fallbackRows: 0 };
  },
};

/** Rows of the target whose labels spell a chunk, and how likely it is. */
interface Chunk {
  first: number;
  end: number;
  logprob: number;
}

function teachChunk(
  { topK, topkIds, topkLogprobs, weight }: AlignedRow,
  { inputIds, labelLogprobs }: RepresentationRow,
  { first, end, logprob }: Chunk,
): void {
  const own = labelLogprobs.subarray(first, end);
  const total = own.reduce((sum, each) => sum + each, 0);
  if (!Number.isFinite(total) || !Number.isFinite(logprob)) return;
  own.forEach((each, k) => {
    const share = total < 0 ? each / total : 1 / own.length;
    topkIds[(first + k) * topK] = inputIds[first + k + 1]!;
    topkLogprobs[(first + k) * topK] = logprob * share;
    weight[first + k] = 1;
  });
}
