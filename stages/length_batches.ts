import { mapInOrder } from "#/stages/map_in_order.ts";

/** How sequences are gathered into batches. */
export interface LengthBatchOptions {
  /** Positions of a batch at most, padding included; one sequence always fits. */
  batchTokens: number;
  /** How many batches' worth of sequences are held and sorted. Defaults to 16. */
  window?: number;
  /** Batches that are under way together, of one window or two. Defaults to 1. */
  concurrency?: number;
}

/**
 * Map sequences batch by batch, where sequences of like length meet, so that
 * little is padding. Results come in the order of the sequences; while batches
 * of one window are under way the next is read, and no more than two are held.
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
  { batchTokens, window = 16, concurrency = 1 }: LengthBatchOptions,
): AsyncGenerator<Result> {
  const mapped = mapInOrder(
    batchesOf(windowsOf(items, lengthOf, batchTokens * window), batchTokens),
    concurrency,
    async ({ places, items, isLast }) => {
      return { places, isLast, results: await map(items) };
    },
  );
  let inOrder: Result[] = [];
  for await (const { places, results, isLast } of mapped) {
    places.forEach((place, i) => inOrder[place] = results[i]!);
    if (!isLast) continue;
    yield* inOrder;
    inOrder = [];
  }
}

/** Sequences with their lengths, as many as are sorted together. */
interface Window<Item> {
  items: Item[];
  lengths: number[];
}

/** Sequences of like length. */
interface Batch<Item> {
  items: Item[];
  /** Where each stands in its window. */
  places: number[];
  /** Whether it is its window's last. */
  isLast: boolean;
}

async function* windowsOf<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  lengthOf: (item: Item) => number,
  mostTokens: number,
): AsyncGenerator<Window<Item>> {
  let window: Window<Item> = { items: [], lengths: [] };
  let tokens = 0;
  for await (const item of items) {
    const length = lengthOf(item);
    window.items.push(item);
    window.lengths.push(length);
    tokens += length;
    if (tokens < mostTokens) continue;
    yield window;
    window = { items: [], lengths: [] };
    tokens = 0;
  }
  yield window;
}

async function* batchesOf<Item>(
  windows: AsyncIterable<Window<Item>>,
  batchTokens: number,
): AsyncGenerator<Batch<Item>> {
  for await (const { items, lengths } of windows) {
    const order = Array.from(items.keys())
      .sort((x, y) => lengths[y]! - lengths[x]! || x - y);
    for (let first = 0, next; first < order.length; first = next) {
      const longest = Math.max(1, lengths[order[first]!]!);
      next = first + Math.max(1, Math.floor(batchTokens / longest));
      const places = order.slice(first, next);
      yield {
        items: places.map((place) => items[place]!),
        places,
        isLast: next >= order.length,
      };
    }
  }
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
