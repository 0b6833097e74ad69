import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import pl from "nodejs-polars";
import {
  type Compression,
  convertDataset,
  datasets,
  hashInput,
  readRows,
  writeDataset,
} from "#/shards/mod.ts";
import { shardPaths } from "#/shards/layout.ts";
import { representationRows } from "#/tests/shard_rows.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const rows = representationRows(200, 10);
const schema = datasets.representations;

function write(out: string, compression: Compression, splits?: string[]) {
  return writeDataset({
    out,
    stage: "represent",
    options: { topK: 10 },
    inputs: {},
    schema,
    rowsPerShard: 70,
    compression,
    ...splits && { splits },
  }, () => rows);
}

/** Every file but manifest.json, whose seconds differ, by path. */
function contents(directory: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const folder of ["", "train", "validation"]) {
    for (const { name, isFile } of Deno.readDirSync(join(directory, folder))) {
      if (!isFile || name === "manifest.json") continue;
      const path = join(folder, name);
      files[path] = Deno.readFileSync(join(directory, path)).toHex();
    }
  }
  return files;
}

Deno.test("convertDataset() leaves what writeDataset() writes with the other compression", () =>
  inTemporaryDirectory(async (directory) => {
    const at = (name: string) => join(directory, name);
    const pairs = [["zstd", "none"], ["none", "zstd"]] as const;
    for (const [from, to] of pairs) {
      await write(at(from), from, ["train", "validation"]);
      const copy = join(directory, `from ${from}`);
      const manifest = await convertDataset(at(from), copy, to);
      assert.equal(manifest.rows, 400);
      assert.equal(await hashInput(copy), await hashInput(at(from)));
    }
    for (const [from, to] of pairs) {
      const copy = contents(join(directory, `from ${from}`));
      assert.deepEqual(copy, contents(at(to)));
      assert.equal(Object.keys(copy).length, 11);
    }
  }));

Deno.test("convertDataset() keeps rows, to us and to polars", () =>
  inTemporaryDirectory(async (directory) => {
    const [from, to] = [join(directory, "from"), join(directory, "to")];
    await write(from, "zstd");
    await convertDataset(from, to, "none");
    assert.deepEqual(await Array.fromAsync(readRows(to, schema)), rows);
    const [compressed, plain] = [from, to].map((out) =>
      shardPaths(out).map((path) => {
        const bytes = Deno.readFileSync(path);
        // polars holds Float16 but cannot hand it to JavaScript.
        const frame = pl.readIPCStream(Buffer.from(bytes));
        return frame.drop("topk_logprobs").toRecords();
      })
    );
    assert.deepEqual(compressed, plain);
  }));

Deno.test("convertDataset() refuses a directory that is there, and a part of a dataset", () =>
  inTemporaryDirectory(async (directory) => {
    const [from, to] = [join(directory, "from"), join(directory, "to")];
    await write(from, "zstd");
    await assert.rejects(convertDataset(from, from, "none"), {
      message:
        `Cannot write dataset ${from}: it exists, expected a new directory`,
    });
    await assert.rejects(convertDataset(to, join(directory, "new"), "none"), {
      message: `Cannot read dataset ${to}: no such directory`,
    });
    await Deno.truncate(shardPaths(from)[1]!, 2000);
    await assert.rejects(
      convertDataset(from, to, "none"),
      /^SyntaxError: Cannot read .*data-00001-of-00003\.arrow: it is truncated/,
    );
    assert.deepEqual(Array.from(Deno.readDirSync(directory)).length, 1);
  }));
