import assert from "node:assert/strict";
import { join } from "node:path";
import {
  type DatasetPlan,
  datasets,
  readManifest,
  readRows,
  type RepresentationRow,
  writeDataset,
} from "#/shards/mod.ts";
import { representationRows } from "#/tests/shard_rows.ts";

const rows = representationRows(23);

function planFor(
  out: string,
  overrides: Partial<DatasetPlan<RepresentationRow>> = {},
): DatasetPlan<RepresentationRow> {
  return {
    out,
    stage: "represent",
    options: { topK: 3, tau: Infinity },
    inputs: {},
    schema: datasets.representations,
    rowsPerShard: 5,
    ...overrides,
  };
}

async function inTemporary(
  use: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Every file of a dataset but the manifest, whose seconds differ, by name. */
async function contents(directory: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for await (const { name, isFile } of Deno.readDir(directory)) {
    if (!isFile || name === "manifest.json") continue;
    const bytes = await Deno.readFile(join(directory, name));
    files[name] = bytes.toHex();
  }
  return files;
}

Deno.test("writeDataset() and readRows() keep every value, NaN and padding included", () =>
  inTemporary(async (out) => {
    const { manifest, skipped } = await writeDataset(
      planFor(out),
      () => rows,
      (row) => row.inputIds.length,
    );
    assert.equal(skipped, false);
    assert.equal(manifest.rows, 23);
    assert.deepEqual(manifest.splits, { train: 23 });
    assert.equal(
      manifest.tokens,
      rows.reduce((sum, row) => sum + row.inputIds.length, 0),
    );
    assert.deepEqual(await readManifest(out), manifest);
    const read = await Array.fromAsync(
      readRows(out, datasets.representations),
    );
    assert.deepEqual(read, rows);
    const rest = await Array.fromAsync(
      readRows(out, datasets.representations, { skip: 7 }),
    );
    assert.deepEqual(rest, rows.slice(7));
  }));

Deno.test("writeDataset() goes on behind the last complete shard and leaves the same bytes", () =>
  inTemporary(async (directory) => {
    const whole = join(directory, "whole");
    await writeDataset(planFor(whole), () => rows);
    const expected = await contents(whole);
    for (const failure of [0, 3, 5, 12, 22, 23]) {
      const out = join(directory, `failed at ${failure}`);
      const resumes: number[] = [];
      const produce = function* (from: number, until: number) {
        resumes.push(from);
        yield* rows.slice(from, until);
        if (until < Infinity) throw new Error("out of power");
      };
      await assert.rejects(
        writeDataset(planFor(out), (resume) => produce(resume.rows, failure)),
        new Error("out of power"),
      );
      await writeDataset(
        planFor(out),
        (resume) => produce(resume.rows, Infinity),
      );
      assert.deepEqual(resumes, [0, Math.floor(failure / 5) * 5]);
      assert.deepEqual(await contents(out), expected);
    }
  }));
