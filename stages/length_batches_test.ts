import assert from "node:assert/strict";
import fc from "fast-check";
import { mapByLength } from "#/stages/length_batches.ts";

/** Sequences that are their lengths. */
const map = (items: number[]) => Promise.resolve(items);
const itself = (item: number) => item;
const later = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("mapByLength() keeps the order, however many batches are under way", async () => {
  const lengths = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 40 });
  const options = fc.record({
    batchTokens: fc.integer({ min: 1, max: 20 }),
    window: fc.integer({ min: 1, max: 4 }),
    concurrency: fc.integer({ min: 1, max: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(lengths, options, async (items, options) => {
      const batches: number[][] = [];
      const mapped = await Array.fromAsync(
        mapByLength(items, itself, (batch) => {
          batches.push(batch);
          return map(batch);
        }, options),
      );
      assert.deepEqual(mapped, items);
      const alone: number[][] = [];
      for await (
        const _ of mapByLength(items, itself, (batch) => {
          alone.push(batch);
          return map(batch);
        }, { ...options, concurrency: 1 })
      );
      assert.deepEqual(batches, alone);
    }),
  );
});

Deno.test("mapByLength() reads the next window while batches are under way, and no more", async () => {
  let [read, underWay, most] = [0, 0, 0];
  function* items() {
    for (; read < 100; read++) yield 1;
  }
  const mapped = mapByLength(items(), itself, async (batch) => {
    most = Math.max(most, ++underWay);
    await later();
    underWay--;
    return batch;
  }, { batchTokens: 1, window: 4, concurrency: 3 });
  await mapped.next();
  assert.equal(most, 3);
  // Two windows, and the item at which the second was full.
  assert.ok(read <= 8, `${read}`);
  await mapped.return(undefined);
  assert.equal(underWay, 0);
});

Deno.test("mapByLength() bounds the positions of a batch, also where one sequence is long", async () => {
  const short = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(short, fc.nat(300), async (lengths, at) => {
      const items = lengths.toSpliced(at, 0, 4096);
      const mapped = mapByLength(items, itself, (batch) => {
        const positions = batch.length * Math.max(...batch);
        if (batch.includes(4096)) assert.deepEqual(batch, [4096]);
        else assert.ok(positions <= 256, `${positions}`);
        return map(batch);
      }, { batchTokens: 256, concurrency: 2 });
      assert.deepEqual(await Array.fromAsync(mapped), items);
    }),
    { numRuns: 30 },
  );
});

Deno.test("mapByLength() begins no batch after one that failed", async () => {
  const begun: number[] = [];
  const mapped = mapByLength([4, 3, 2, 1], itself, async ([item]) => {
    begun.push(item!);
    await later();
    if (item === 4) throw new RangeError("of length 4");
    return [item];
  }, { batchTokens: 1, concurrency: 2 });
  await assert.rejects(Array.fromAsync(mapped), new RangeError("of length 4"));
  assert.deepEqual(begun, [4, 3]);
});
