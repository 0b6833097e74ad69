/** How sequences are gathered into batches. */
export interface LengthBatchOptions {
  /** Positions of a batch at most, padding included; one sequence always fits. */
  batchTokens: number;
  /** How many batches' worth of sequences are held and sorted. Defaults to 16. */
  window?: number;
}

/**
 * Map sequences batch by batch, where sequences of like length meet, so that
 * little is padding. Results come in the order of the sequences; no more than a
 * window of them is held.
 *
 * @param items The sequences.
 * @param lengthOf Tokens of a sequence.
 * @param map One result per sequence of a batch, longest sequence first.
 * @param options See {@linkcode LengthBatchOptions}.
 * @returns The results, in the order of `items`.
 */
export async function* mapByLength<Item, Result>(
  items: AsyncIterable<Item> | Iterable<Item>,
  lengthOf: (item: Item) => number,
  map: (batch: Item[]) => Promise<Result[]>,
  { batchTokens, window = 16 }: LengthBatchOptions,
): AsyncGenerator<Result> {
  let held: Item[] = [];
  let tokens = 0;
  for await (const item of items) {
    held.push(item);
    tokens += lengthOf(item);
    if (tokens < batchTokens * window) continue;
    yield* await mapWindow(held, lengthOf, map, batchTokens);
    held = [];
    tokens = 0;
  }
  yield* await mapWindow(held, lengthOf, map, batchTokens);
}

async function mapWindow<Item, Result>(
  items: readonly Item[],
  lengthOf: (item: Item) => number,
  map: (batch: Item[]) => Promise<Result[]>,
  batchTokens: number,
): Promise<Result[]> {
  const lengths = items.map(lengthOf);
  const order = Array.from(items.keys())
    .sort((x, y) => lengths[y]! - lengths[x]! || x - y);
  const results = new Array<Result>(items.length);
  for (let first = 0; first < order.length;) {
    const longest = Math.max(1, lengths[order[first]!]!);
    const count = Math.max(1, Math.floor(batchTokens / longest));
    const batch = order.slice(first, first + count);
    const mapped = await map(batch.map((index) => items[index]!));
    batch.forEach((index, i) => results[index] = mapped[i]!);
    first += count;
  }
  return results;
}

/**
 * Write sequences as the rows of one array, padded on the right with id 0,
 * which no earlier position sees.
 *
 * @param sequences Token ids of every sequence.
 * @returns Ids, `[batch, length]`, and its shape.
 */
export function padRight(
  sequences: readonly Int32Array[],
): { inputIds: Int32Array; batch: number; length: number } {
  const batch = sequences.length;
  const length = Math.max(...sequences.map((ids) => ids.length));
  const inputIds = new Int32Array(batch * length);
  sequences.forEach((ids, row) => inputIds.set(ids, row * length));
  return { inputIds, batch, length };
}
