import assert from "node:assert/strict";
import { join } from "node:path";
import {
  type DatasetPlan,
  datasets,
  EncodedRows,
  readManifest,
  readRows,
  type RepresentationRow,
  RowEncoder,
  writeDataset,
} from "#/shards/mod.ts";
import { representationRows } from "#/tests/shard_rows.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const rows = representationRows(23);
const schema = datasets.representations;

function planFor(out: string): DatasetPlan<RepresentationRow> {
  return {
    ...{ out, stage: "represent", options: {}, inputs: {}, schema },
    rowsPerShard: 5,
  };
}

const tokensOf = ({ inputIds }: RepresentationRow) => inputIds.length;

/** Rows three by three, through a message as from another thread. */
function* encoded(first: number): Generator<EncodedRows> {
  const encoder = new RowEncoder(schema, rows[0]);
  for (let k = first; k < rows.length; k += 3) {
    const some = rows.slice(k, k + 3);
    for (const row of some) encoder.append(row);
    const tokens = some.reduce((sum, row) => sum + tokensOf(row), 0);
    yield new EncodedRows(structuredClone(encoder.take(tokens)));
  }
}

Deno.test("writeDataset() takes encoded rows as it takes rows", () =>
  inTemporaryDirectory(async (directory) => {
    const [one, other] = [join(directory, "one"), join(directory, "other")];
    await writeDataset(planFor(one), () => rows, tokensOf);
    await writeDataset(planFor(other), ({ rows }) => encoded(rows), tokensOf);
    const read = (out: string) => Array.fromAsync(readRows(out, schema));
    assert.deepEqual(await read(other), await read(one));
    const [ours, theirs] = [await readManifest(other), await readManifest(one)];
    assert.deepEqual(ours.splits, theirs.splits);
    assert.equal(ours.tokens, theirs.tokens);
    // A shard ends behind the rows that fill it: 6 of them, twice three.
    const shards = Array.from(Deno.readDirSync(other), ({ name }) => name)
      .filter((name) => name.endsWith(".arrow"));
    assert.equal(shards.length, 4);
  }));

Deno.test("writeDataset() goes on behind encoded rows, and writes the others first", () =>
  inTemporaryDirectory(async (out) => {
    await assert.rejects(
      writeDataset(planFor(out), function* () {
        let taken = 0;
        for (const some of encoded(0)) {
          if (taken++ === 3) throw new Error("killed");
          yield some;
        }
      }, tokensOf),
      /killed/,
    );
    let resumed = -1;
    await writeDataset(planFor(out), function* ({ rows: first }) {
      resumed = first;
      yield rows[first]!;
      yield* encoded(first + 1);
    }, tokensOf);
    assert.equal(resumed, 6);
    const all = await Array.fromAsync(readRows(out, schema));
    assert.deepEqual(all.map(({ id }) => id), rows.map(({ id }) => id));
  }));

Deno.test("writeDataset() names the encoded rows that do not fit", () =>
  inTemporaryDirectory(async (out) => {
    const [wide] = representationRows(1, 4);
    const encoder = new RowEncoder(schema, wide);
    encoder.append(wide!);
    await assert.rejects(
      writeDataset(planFor(out), () => [rows[0]!, encoder.take(1)]),
      {
        name: "RangeError",
        message: `Cannot write row 1 of ${out}: it has other columns or ` +
          "widths than the shard's first row",
      },
    );
  }));
