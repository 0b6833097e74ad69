import { editDistance } from "#/kernels/mod.ts";
import { TextPieces } from "#/stages/text_pieces.ts";
import type { TokenMethod } from "./method.ts";

/**
 * Map a token to the one with which the target begins to write its bytes: what
 * the target should predict next, if the source is right.
 */
export const firstPiece: TokenMethod = {
  description: "goes to the first piece of its bytes as the target cuts them",
  settings: [],
  needsEncoder: true,
  tokens: ({ target, source }) => {
    const pieces = new TextPieces(target);
    return {
      images: (sourceId) => {
        const bytes = source.tokenBytes[sourceId]!;
        const [targetId] = pieces.of(bytes);
        if (targetId === undefined) return [];
        const distance = editDistance(bytes, target.tokenBytes[targetId]!);
        return [{ targetId, distance, weight: 1 }];
      },
    };
  },
};
