/** Part `index`, from 0, of `count` parts. */
export interface Shard {
  /** Which part. */
  index: number;
  /** How many there are. */
  count: number;
}

/**
 * Read `I/N`.
 *
 * @param text Such as `0/4`; nothing means everything.
 * @returns The part.
 * @throws {RangeError} If it is not `I/N` with 0 ≤ I < N.
 */
export function parseShard(text = "0/1"): Shard {
  const [, index, count] = text.match(/^(\d+)\/(\d+)$/)?.map(Number) ?? [];
  if (index === undefined || count === undefined || index >= count) {
    throw new RangeError(
      `Cannot use --shard ${text}: expected I/N with I from 0 to N − 1`,
    );
  }
  return { index, count };
}

/**
 * The rows of a part. Parts are contiguous: one after the other they are the
 * whole, in its order.
 *
 * @param rows How many rows there are.
 * @param shard The part.
 * @returns Its first row and the one after its last.
 */
export function shardRange(
  rows: number,
  { index, count }: Shard,
): { start: number; end: number } {
  return {
    start: Math.floor(rows * index / count),
    end: Math.floor(rows * (index + 1) / count),
  };
}

/**
 * The first rows of many.
 *
 * @param rows The rows.
 * @param count How many to take.
 * @returns These.
 */
export async function* take<Row>(
  rows: AsyncIterable<Row>,
  count: number,
): AsyncGenerator<Row> {
  if (count === 0) return;
  for await (const row of rows) {
    yield row;
    if (--count === 0) return;
  }
}
