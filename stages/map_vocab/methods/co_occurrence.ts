import type { Encoding } from "#/tokenizers/mod.ts";
import type { TokenMethod } from "./method.ts";
import { allNearest, nearestBytes } from "./min_edit_distance.ts";
import { SparseCounts } from "./sparse_counts.ts";

/**
 * Of the tokens at the least edit distance, map to the one that keeps the most
 * similar company.
 *
 * A token's company is what stands within a window around it in the corpus,
 * counted over the target's vocabulary, to which the source's company is mapped
 * by bytes. Similarity is the cosine; of equal ones, as of those that the corpus
 * lacks, the smaller id.
 *
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, whose code
 * has it as an option, with a dense matrix of all tokens.
 */
export const coOccurrence: TokenMethod = {
  description: "goes to the nearest token that keeps the same company",
  settings: ["text", "window"],
  tokens: (inputs, { window = 5 }) => {
    const { target, source, vocabulary, inexact } = inputs;
    const candidatesOf = allNearest(vocabulary, target);
    const candidates = new Map(
      inexact.map((id) => [id, candidatesOf(source.tokenBytes[id]!)]),
    );
    const open = [...candidates.values()]
      .filter(({ targetIds }) => targetIds.length > 1);
    const ours = new SparseCounts();
    const theirs = new SparseCounts();
    const isCandidate = new Set(open.flatMap(({ targetIds }) => targetIds));
    const nearest = nearestBytes(inputs);
    const images = new Map<number, number>();
    const imageOf = (sourceId: number) => {
      let image = images.get(sourceId);
      if (image === undefined) {
        const isText = source.tokenBytes[sourceId]!.length > 0;
        image = isText ? nearest(sourceId).targetId : -1;
        images.set(sourceId, image);
      }
      return image;
    };
    return {
      read: (text) => {
        count(target.encode(text), (id) => id, window, (id, other) => {
          if (isCandidate.has(id)) ours.add(id, other, 1);
        });
        count(source.encode(text), imageOf, window, (id, other) => {
          const ties = candidates.get(id)?.targetIds.length ?? 0;
          if (ties > 1) theirs.add(id, other, 1);
        });
      },
      images: (sourceId) => {
        const { targetIds, distance } = candidates.get(sourceId)!;
        const company = theirs.row(sourceId);
        let best = { targetId: targetIds[0]!, similarity: -1 };
        for (const targetId of targetIds) {
          const similarity = cosine(company, ours.row(targetId));
          if (similarity > best.similarity) best = { targetId, similarity };
        }
        return [{ targetId: best.targetId, distance, weight: 1 }];
      },
    };
  },
};

/** Tells every token of a text and what stands around it. */
function count(
  { ids }: Encoding,
  featureOf: (id: number) => number,
  window: number,
  tell: (id: number, other: number) => void,
): void {
  const features = ids.map(featureOf);
  for (let i = 0; i < ids.length; i++) {
    const end = Math.min(ids.length, i + window + 1);
    for (let j = Math.max(0, i - window); j < end; j++) {
      if (j !== i && features[j]! >= 0) tell(ids[i]!, features[j]!);
    }
  }
}

function cosine(
  x: ReadonlyMap<number, number>,
  y: ReadonlyMap<number, number>,
): number {
  let dot = 0;
  for (const [column, value] of x) dot += value * (y.get(column) ?? 0);
  return dot === 0 ? 0 : dot / (norm(x) * norm(y));
}

function norm(x: ReadonlyMap<number, number>): number {
  let sum = 0;
  for (const value of x.values()) sum += value * value;
  return Math.sqrt(sum);
}
