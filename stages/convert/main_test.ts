import assert from "node:assert/strict";
import { datasets, readRows, writeDataset } from "#/shards/mod.ts";
import { call } from "#/stages/command.ts";
import { command } from "#/stages/convert/main.ts";
import { representationRows } from "#/tests/shard_rows.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

Deno.test("pta convert copies a dataset without compression, and back", () =>
  inTemporaryDirectory(async (directory) => {
    const schema = datasets.representations;
    const rows = representationRows(100, 10);
    const [data, plain, again] = ["data", "plain", "again"].map((name) =>
      `${directory}/${name}`
    ) as [string, string, string];
    await writeDataset(
      { out: data, stage: "represent", options: {}, inputs: {}, schema },
      () => rows,
    );
    const { text, lines } = await call(command, [
      ...["convert", "--data", data, "--out", plain],
    ]);
    assert.equal(text, `${plain}: 100 rows, compression none`);
    assert.deepEqual(lines, [
      { out: plain, rows: 100, tokens: 0, compression: "none" },
    ]);
    assert.deepEqual(await Array.fromAsync(readRows(plain, schema)), rows);
    await call(command, [
      ...["convert", "--data", plain, "--out", again],
      ...["--compression", "zstd"],
    ]);
    const [first, second, third] = [data, plain, again].map((out) =>
      Deno.readFileSync(`${out}/data-00000-of-00001.arrow`)
    );
    assert.deepEqual(third, first);
    assert.ok(second!.length > 2 * first!.length);
  }));
