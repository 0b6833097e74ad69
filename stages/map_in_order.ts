/**
 * Map an iterable asynchronously, several items at a time, keeping the order.
 *
 * @param items What to map; read no further ahead than `concurrency`.
 * @param concurrency How many items are under way at most.
 * @param work What is done with each.
 * @returns The results, in the order of the items.
 */
export async function* mapInOrder<Item, Result>(
  items: AsyncIterable<Item> | Iterable<Item>,
  concurrency: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const underWay: Promise<Result>[] = [];
  try {
    for await (const item of items) {
      const result = work(item);
      result.catch(() => {}); // thrown where it is awaited
      underWay.push(result);
      if (underWay.length >= concurrency) yield await underWay.shift()!;
    }
    while (underWay.length > 0) yield await underWay.shift()!;
  } finally {
    // Whoever stops early is not interested in what the others come to.
    await Promise.allSettled(underWay);
  }
}
