import { NearestStrings } from "#/kernels/edit_distance/nearest_strings.ts";

/** A source token and the target tokens nearest to it. */
export interface BestMapping {
  /** The source's spelling, with the target's word marker in place of its own. */
  spelling: string;
  /** Target ids equally near, ascending; the published code takes the first. */
  ids: number[];
  /** How far they are, in edits of code points. */
  distance: number;
}

/** The target's side of a mapping. */
export interface MappingTarget {
  /** Spelling of every id; holes are empty. */
  tokens: readonly string[];
  /** What stands for a space at the head of a word, as in `▁the`. */
  marker: string;
}

/**
 * Make the published mapping to a target: for each source spelling the target
 * spelling at the least edit distance.
 *
 * Spellings are compared as they are, so that a byte-level alphabet meets
 * characters, and special tokens what resembles their names. Equal spellings are
 * looked up, and have no rival.
 *
 * @param target The target's vocabulary.
 * @returns A function from a source's spelling and word marker to its mapping.
 * @throws {RangeError} If the target has no token.
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, Section 3.2.
 */
export function findBestMapping(
  { tokens, marker }: MappingTarget,
): (token: string, sourceMarker: string) => BestMapping {
  const ids = [...tokens.keys()].filter((id) => tokens[id]);
  if (ids.length === 0) {
    throw new RangeError(
      "Cannot map to a vocabulary: it has no token, expected at least one",
    );
  }
  const strings = new NearestStrings(ids.map((id) => tokens[id]!));
  const exact = new Map<string, number>();
  for (const id of ids) {
    if (!exact.has(tokens[id]!)) exact.set(tokens[id]!, id);
  }
  return (token, sourceMarker) => {
    const spelling = token.replaceAll(sourceMarker, marker);
    const same = exact.get(spelling);
    if (same !== undefined) return { spelling, ids: [same], distance: 0 };
    const { indexes, distance } = strings.nearest(spelling);
    return { spelling, ids: indexes.map((k) => ids[k]!), distance };
  };
}
