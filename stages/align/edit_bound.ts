/** Tokens of two vocabularies as sets of bytes and lengths. */
export interface EditBound {
  /**
   * Tell without comparing whether two tokens are far apart.
   *
   * @param sourceId The source's token.
   * @param targetId The target's.
   * @param edits A number of edits.
   * @returns Whether they are surely more than that apart; `false` says nothing.
   */
  exceeds(sourceId: number, targetId: number, edits: number): boolean;
}

/**
 * Prepare a lower bound of the edit distance. An edit changes the length by at
 * most 1, and takes at most one byte out of a set and brings one into it.
 *
 * @param sources The bytes of the source's tokens.
 * @param targets Those of the target's.
 * @returns The bound.
 */
export function editBound(
  sources: readonly Uint8Array[],
  targets: readonly Uint8Array[],
): EditBound {
  const [theirSets, theirLengths] = sketches(sources);
  const [ourSets, ourLengths] = sketches(targets);
  return {
    exceeds(sourceId, targetId, edits) {
      const apart = theirLengths[sourceId]! - ourLengths[targetId]!;
      if (apart > edits || -apart > edits) return true;
      const [theirs, ours] = [theirSets[sourceId]!, ourSets[targetId]!];
      return hasMore(theirs & ~ours, edits) || hasMore(ours & ~theirs, edits);
    },
  };
}

/** A bit for each byte, by its lower five bits, and the number of bytes. */
function sketches(
  tokens: readonly Uint8Array[],
): [sets: Int32Array, lengths: Int32Array] {
  const sets = Int32Array.from(tokens, (bytes) => {
    let set = 0;
    for (const byte of bytes) set |= 1 << (byte & 31);
    return set;
  });
  return [sets, Int32Array.from(tokens, ({ length }) => length)];
}

function hasMore(set: number, most: number): boolean {
  for (let k = 1; k <= most && set !== 0; k++) set &= set - 1;
  return set !== 0;
}
