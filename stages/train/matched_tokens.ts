import type { Loss } from "#/kernels/losses/mod.ts";
import type { VocabMappingRow } from "#/shards/mod.ts";

/**
 * Find the tokens that all sources know, as a hybrid loss asks for.
 *
 * @param mappings The vocabulary mapping of every source, at least one.
 * @param vocabSize Tokens of the target, V.
 * @param matches Which images count; see {@linkcode Loss}.
 * @returns 1 for a token that is such an image in every mapping, else 0, `[V]`.
 */
export async function matchedTokens(
  mappings: readonly (
    | AsyncIterable<VocabMappingRow>
    | Iterable<VocabMappingRow>
  )[],
  vocabSize: number,
  matches: NonNullable<Loss["matches"]>,
): Promise<Uint32Array<ArrayBuffer>> {
  const known = new Uint32Array(vocabSize).fill(1);
  for (const mapping of mappings) {
    const here = new Uint32Array(vocabSize);
    for await (const image of mapping) {
      if (matches(image)) here[image.targetId] = 1;
    }
    known.forEach((one, token) => known[token] = one & here[token]!);
  }
  return known;
}
