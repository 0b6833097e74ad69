import { emptyRow } from "#/stages/align/empty_row.ts";
import { positionPairs } from "#/stages/align/position_pairs.ts";
import { startRows } from "#/stages/align/token_relations.ts";
import { writeTop } from "#/stages/align/write_top.ts";
import type { BlockMethod } from "./method.ts";

/**
 * Put the source's distributions at the target's positions, over the source's own
 * tokens, for a loss that projects the model onto them.
 *
 * Where only one of the two models stands before a virtual space, the same tokens
 * stand for other bytes: such a row has no weight.
 */
export const sourceTokens: BlockMethod = {
  description: "tokens stay the source's own, for --loss p-kl",
  corrected: true,
  keepsTokens: true,
  settings: [],
  blocks: ({ target, source }, { topK }) => (targetRow, sourceRow) => {
    const width = Math.min(topK ?? Infinity, sourceRow.topK);
    const row = emptyRow(targetRow, sourceRow, topK ?? sourceRow.topK);
    const pairs = positionPairs(targetRow.byteEnds, sourceRow.byteEnds);
    const starts = [
      startRows(target, targetRow.inputIds, targetRow.byteEnds),
      startRows(source, sourceRow.inputIds, sourceRow.byteEnds),
    ] as const;
    pairs.target.forEach((t, k) => {
      const s = pairs.source[k]!;
      if (t < starts[0] !== s < starts[1]) return;
      const first = s * sourceRow.topK;
      const ids = [...sourceRow.topkIds.subarray(first, first + width)];
      const masses = ids.map((id, rank) =>
        id < 0 ? 0 : Math.exp(sourceRow.topkLogprobs[first + rank]!)
      );
      const kept = writeTop(
        { ids, masses, length: width, marginalError: 0 },
        row,
        t,
      );
      row.weight[t] = kept > 0 ? 1 : 0;
    });
    return { row, fallbackRows: 0 };
  },
};
