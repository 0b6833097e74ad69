import { editDistance } from "#/kernels/mod.ts";
import { TextPieces } from "#/stages/text_pieces.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import type { TokenMethod } from "./method.ts";
import { SparseCounts } from "./sparse_counts.ts";

/** What each further piece counts, against the one before it. */
const DECAY = 0.1;

/**
 * Map a token to several, by re-tokenizing either vocabulary with the other's
 * tokenizer: the pieces of its bytes count, and the tokens it is a piece of,
 * a tenth for each further piece. The largest are kept, and sum to 1.
 *
 * @see X-Token, {@link https://arxiv.org/abs/2605.21699}, whose projection
 * matrix this is a row of. Exact counterparts are pinned, as there.
 */
export const projection: TokenMethod = {
  description: "spreads over its pieces and the tokens it is a piece of",
  settings: ["topK"],
  needsEncoder: true,
  tokens: ({ target, source, inexact }, { topK = 8 }) => {
    const weights = new SparseCounts();
    const wanted = new Set(inexact);
    for (const [sourceId, targetId, weight] of retokenized(source, target)) {
      if (wanted.has(sourceId)) weights.add(sourceId, targetId, weight);
    }
    for (const [targetId, sourceId, weight] of retokenized(target, source)) {
      if (wanted.has(sourceId)) weights.add(sourceId, targetId, weight);
    }
    return {
      images: (sourceId) => {
        const kept = weights.largest(sourceId, topK);
        const total = kept.reduce((sum, [, weight]) => sum + weight, 0);
        return kept.map(([targetId, weight]) => ({
          targetId,
          distance: editDistance(
            source.tokenBytes[sourceId]!,
            target.tokenBytes[targetId]!,
          ),
          weight: weight / total,
        }));
      },
    };
  },
};

/** Every token of one tokenizer in pieces of another, with their weights. */
function* retokenized(
  { tokenBytes }: Tokenizer,
  other: Tokenizer,
): Generator<[id: number, piece: number, weight: number]> {
  const pieces = new TextPieces(other);
  for (const [id, bytes] of tokenBytes.entries()) {
    const cut = bytes.length > 0 ? pieces.of(bytes) : [];
    const total = (1 - DECAY ** cut.length) / (1 - DECAY);
    for (const [k, piece] of cut.entries()) {
      yield [id, piece, DECAY ** k / total];
    }
  }
}
