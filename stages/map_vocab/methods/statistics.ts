import { editDistance } from "#/kernels/mod.ts";
import type { MapInputs, TokenMethod } from "./method.ts";
import { nearestBytes } from "./min_edit_distance.ts";
import { SparseCounts } from "./sparse_counts.ts";

/**
 * Map a token to the one that most often stands where it stands.
 *
 * Both tokenizers cut the corpus. Wherever two tokens share bytes, the pair
 * counts 1 / (1 + edit distance); the largest sum wins, of equal ones the
 * smaller id. A token that the corpus lacks goes to the nearest.
 *
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2408.07990} (FuseChat),
 * whose mapping statistics come from warped tokens, not from bytes.
 */
export const statistics: TokenMethod = {
  description: "goes to what stands in its place in the corpus",
  settings: ["text", "topK"],
  tokens: (inputs, { topK = 1 }) => {
    const { source, target, inexact } = inputs;
    const counts = new SparseCounts();
    const wanted = new Set(inexact);
    const nearest = nearestBytes(inputs);
    const distanceOf = (sourceId: number, targetId: number) =>
      editDistance(source.tokenBytes[sourceId]!, target.tokenBytes[targetId]!);
    return {
      read: (text) => {
        for (const [sourceId, targetId] of overlapping(text, inputs)) {
          if (wanted.has(sourceId)) counts.add(sourceId, targetId, 1);
        }
      },
      images: (sourceId) => {
        const scored = [...counts.row(sourceId)]
          .map(([targetId, count]) => {
            const distance = distanceOf(sourceId, targetId);
            return { targetId, distance, weight: count / (1 + distance) };
          })
          .sort((x, y) => y.weight - x.weight || x.targetId - y.targetId)
          .slice(0, topK);
        const total = scored.reduce((sum, { weight }) => sum + weight, 0);
        return scored.length > 0
          ? scored.map((each) => ({ ...each, weight: each.weight / total }))
          : [{ ...nearest(sourceId), weight: 1 }];
      },
    };
  },
};

/** Tokens of source and target that share bytes of a text. */
function* overlapping(
  text: string,
  { target, source }: MapInputs,
): Generator<[sourceId: number, targetId: number]> {
  const ours = target.encode(text);
  const theirs = source.encode(text);
  let t = 0;
  for (let s = 0; s < theirs.ids.length; s++) {
    const start = s > 0 ? theirs.byteEnds[s - 1]! : 0;
    const end = theirs.byteEnds[s]!;
    if (end === start) continue;
    while (t > 0 && ours.byteEnds[t - 1]! > start) t--;
    while (t < ours.ids.length && ours.byteEnds[t]! <= start) t++;
    for (; t < ours.ids.length; t++) {
      const from = t > 0 ? ours.byteEnds[t - 1]! : 0;
      if (from >= end) break;
      if (ours.byteEnds[t]! > from) yield [theirs.ids[s]!, ours.ids[t]!];
    }
  }
}
