import assert from "node:assert/strict";
import { join } from "node:path";
import {
  datasets,
  ForwardRows,
  readRows,
  type RepresentationRow,
  rowRanges,
  writeDataset,
} from "#/shards/mod.ts";
import { representationRows } from "#/tests/shard_rows.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const schema = datasets.representations;

async function write(
  out: string,
  rows: readonly RepresentationRow[],
  rowsPerShard: number,
): Promise<void> {
  const plan = { out, stage: "represent", options: {}, inputs: {}, schema };
  await writeDataset({ ...plan, rowsPerShard }, () => rows);
}

/** A row of T positions whose numbers tell which row it is. */
function longRow(index: number, length: number): RepresentationRow {
  const [row] = representationRows(1);
  const fill = (width: number) => new Int32Array(length * width).fill(index);
  return {
    ...row!,
    id: `row ${index}`,
    inputIds: fill(1),
    byteEnds: fill(1),
    topK: 3,
    topkIds: fill(3),
    topkLogprobs: new Float32Array(length * 3).fill(-index),
    labelLogprobs: new Float32Array(length).fill(-index),
  };
}

Deno.test("ForwardRows.rows() reads ranges across batches, the last shard short", () =>
  inTemporaryDirectory(async (out) => {
    const rows = representationRows(23);
    await write(out, rows, 5);
    const all = await Array.fromAsync(readRows(out, schema));
    for (const release of [false, true]) {
      await using reader = new ForwardRows(out, schema, { release });
      let read = 0;
      for (const [first, end] of [[0, 2], [2, 9], [9, 9], [17, 21]] as const) {
        const range = await Array.fromAsync(reader.rows(first, end));
        assert.deepEqual(range, all.slice(first, end));
        read += range.length;
      }
      assert.deepEqual(await Array.fromAsync(reader.rows(21)), all.slice(21));
      assert.deepEqual(await Array.fromAsync(reader.rows(23)), []);
      assert.equal(read, 13);
    }
  }));

Deno.test("ForwardRows.rows() throws if a row has been passed", () =>
  inTemporaryDirectory(async (out) => {
    await write(out, representationRows(23), 5);
    await using reader = new ForwardRows(out, schema);
    await Array.fromAsync(reader.rows(11, 12));
    await assert.rejects(Array.fromAsync(reader.rows(9, 12)), {
      name: "RangeError",
      message: `Cannot read row 9 of ${out}: it has been passed, expected at ` +
        "least 10",
    });
  }));

Deno.test("ForwardRows gives memory back where it is told to, and not before", () =>
  inTemporaryDirectory(async (out) => {
    await write(out, representationRows(10), 3);
    await using reader = new ForwardRows(out, schema, { release: true });
    const [passed, current] = await Array.fromAsync(reader.rows(2, 4));
    assert.ok(passed!.inputIds.length > 0 && current!.inputIds.length > 0);
    await Array.fromAsync(reader.rows(4, 5));
    assert.equal(passed!.inputIds.length, 0);
    assert.ok(current!.inputIds.length > 0);
  }));

Deno.test("rowRanges() covers all rows once, and ends where it always does", () =>
  inTemporaryDirectory(async (directory) => {
    const small = join(directory, "small");
    await write(small, representationRows(23), 5);
    assert.deepEqual(await Array.fromAsync(rowRanges(small)), [
      { first: 0, end: 5 },
      { first: 5, end: 10 },
      { first: 10, end: 15 },
      { first: 15, end: 20 },
      { first: 20, end: 23 },
    ]);
    // A batch that is too large for one range, and one row that is.
    const large = join(directory, "large");
    const lengths = [9000, 9000, 9000, 9000, 60_000];
    await write(large, lengths.map((length, k) => longRow(k, length)), 99);
    const all = await Array.fromAsync(rowRanges(large));
    assert.ok(all.length > 2);
    const ends = all.map(({ end }) => end);
    assert.deepEqual(all.map(({ first }) => first), [0, ...ends.slice(0, -1)]);
    assert.equal(ends.at(-1), 5);
    for (let skip = 0; skip <= 5; skip++) {
      const rest = await Array.fromAsync(rowRanges(large, { skip }));
      assert.deepEqual(
        rest.map(({ end }) => end),
        ends.filter((end) => end > skip),
      );
      assert.equal(rest[0]?.first ?? 5, skip);
    }
  }));
