import type { ByteVocabulary } from "#/stages/byte_vocabulary.ts";
import type { Image } from "./method.ts";

/**
 * Map a token to the one at the least edit distance over bytes.
 *
 * @param bytes What the source token stands for.
 * @param target The target's vocabulary; of several tokens equally near, the
 * one with the smallest id is taken.
 * @returns One image of weight 1.
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, Section 3.2.
 */
export function minEditDistance(
  bytes: Uint8Array,
  { ids, nearest }: ByteVocabulary,
): Image[] {
  const { index, distance } = nearest.find(bytes);
  return [{ targetId: ids[index]!, distance, weight: 1 }];
}
