/** Rows of target and source that predict from the same byte offset. */
export interface PositionPairs {
  /** Rows of the target, ascending, `[P]`. */
  target: Int32Array;
  /** The source row that faces each, ascending, `[P]`. */
  source: Int32Array;
}

/**
 * Pair the rows of two tokenizations of one text, in O(N + M).
 *
 * A row stands at the byte offset where its token ends and predicts what comes
 * next. Rows at the same offset face each other; of several labelled rows at
 * one offset, as tokens without bytes make them, the last does. The last row of
 * a sequence has no label and is never paired.
 *
 * @param targetEnds Byte offset after each target token, `[N]`, monotone.
 * @param sourceEnds Byte offset after each source token, `[M]`, monotone.
 * @returns The pairs, in order.
 */
export function positionPairs(
  targetEnds: Int32Array,
  sourceEnds: Int32Array,
): PositionPairs {
  const target: number[] = [];
  const source: number[] = [];
  const [n, m] = [targetEnds.length - 1, sourceEnds.length - 1];
  let s = 0;
  for (let t = 0; t < n; t++) {
    const offset = targetEnds[t]!;
    if (t + 1 < n && targetEnds[t + 1] === offset) continue;
    while (s < m && sourceEnds[s]! <= offset) s++;
    if (s === 0 || sourceEnds[s - 1] !== offset) continue;
    target.push(t);
    source.push(s - 1);
  }
  return { target: Int32Array.from(target), source: Int32Array.from(source) };
}

/**
 * Where the stretch of a sequence ends that begins at its last pair: at the last
 * row, or before labels without bytes that the other model does not have, as an
 * EOS on one side only.
 *
 * @param byteEnds Byte offset after each token, `[T]`.
 * @param first The row of the pair.
 * @returns The row behind the last that belongs to it.
 */
export function lastEnd(byteEnds: Int32Array, first: number): number {
  let end = byteEnds.length - 1;
  while (end - 1 > first && byteEnds[end - 1] === byteEnds[end]) end--;
  return end;
}
