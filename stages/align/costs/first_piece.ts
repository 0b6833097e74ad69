import { bytesKey, editDistance } from "#/kernels/mod.ts";
import { TextPieces } from "#/stages/text_pieces.ts";
import type { Cost } from "./cost.ts";

/**
 * Nothing for the token with which the target begins to write the source
 * token's bytes, as that is what it predicts next if the source is right; one
 * edit more than the edit distance for any other.
 */
export const firstPiece: Cost = {
  description: "edits, but for the target's first piece of the bytes",
  needsEncoder: true,
  make: ({ target }) => {
    const pieces = new TextPieces(target);
    const firsts = new Map<string, string>();
    return (from, to) => {
      const key = bytesKey(from);
      let first = firsts.get(key);
      if (first === undefined) {
        const [id] = pieces.of(from);
        first = id === undefined ? "" : bytesKey(target.tokenBytes[id]!);
        firsts.set(key, first);
      }
      return first === bytesKey(to) ? 0 : 1 + editDistance(from, to);
    };
  },
};
