import assert from "node:assert/strict";
import { join } from "node:path";
import {
  datasets,
  openRandomAccess,
  readManifest,
  writeDataset,
} from "#/shards/mod.ts";
import { call } from "#/stages/command.ts";
import { command } from "#/stages/pack/main.ts";
import { alignedRows, representationRows } from "#/tests/shard_rows.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const train = representationRows(40);
const validation = representationRows(6);

async function writeInputs(directory: string): Promise<void> {
  const plan = { options: {}, inputs: {}, splits: ["train", "validation"] };
  const rowsOf = (split: string) => split === "train" ? train : validation;
  await writeDataset({
    ...plan,
    out: join(directory, "llama"),
    stage: "represent",
    schema: datasets.representations,
  }, ({ split }) => rowsOf(split));
  await writeDataset({
    ...plan,
    out: join(directory, "aligned"),
    stage: "align",
    schema: datasets.aligned,
    metadata: { source: "gpt2" },
    inputs: { sourceRepresentations: join(directory, "llama") },
  }, ({ split }) => alignedRows(rowsOf(split)));
}

async function run(
  directory: string,
  ...flags: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const main = new URL("main.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", main, "pack", ...flags],
    cwd: directory,
  }).output();
  const [out, err] = [stdout, stderr].map((b) => new TextDecoder().decode(b));
  return { code, stdout: out!, stderr: err! };
}

Deno.test("pta pack packs every split, names the sources, and does nothing twice", () =>
  inTemporaryDirectory(async (directory) => {
    await writeInputs(directory);
    const flags = ["--target-representations", "llama", "--aligned", "aligned"]
      .concat("--out", "packed", "--length", "31", "--json");
    const first = await run(directory, ...flags);
    assert.equal(first.code, 0, first.stderr);
    const line = JSON.parse(first.stdout);
    assert.equal(line.blocks, 46);
    assert.equal(line.skipped, false);

    const packed = join(directory, "packed");
    const { metadata, splits } = await readManifest(packed);
    assert.deepEqual(metadata!.teachers, { gpt2: 2, target: 3 });
    assert.deepEqual(Object.keys(splits), ["train", "validation"]);
    const bytes = [train, validation].map((rows) =>
      rows.reduce((sum, { byteEnds }) => sum + byteEnds.at(-1)!, 0)
    );
    assert.deepEqual(Object.values(metadata!.bytes as object), bytes);
    using rows = await openRandomAccess(packed, datasets.packed(), {
      split: "validation",
    });
    assert.equal(rows.length, splits.validation);
    assert.deepEqual(Object.keys(rows.row(0).teachers), ["target", "gpt2"]);

    const again = await run(directory, ...flags);
    assert.deepEqual(JSON.parse(again.stdout), { ...line, skipped: true });
  }));

Deno.test("pta pack writes the same bytes, and fails at the same block, with a worker", () =>
  inTemporaryDirectory(async (root) => {
    await writeInputs(root);
    const pack = (out: string, workers: number, length: number) =>
      call(command, [
        ...["pack", "--target-representations", `${root}/llama`],
        ...["--aligned", `${root}/aligned`, "--out", `${root}/${out}`],
        ...["--length", `${length}`, "--workers", `${workers}`],
      ]);
    const [one, two] = await Promise.all(
      [1, 2].map(async (workers) => {
        const { lines } = await pack(`${workers}`, workers, 31);
        const bytes = Deno.readFileSync(
          `${root}/${workers}/train/data-00000-of-00001.arrow`,
        );
        const { metadata } = await readManifest(`${root}/${workers}`);
        const [{ out: _, ...line }] = lines as [Record<string, unknown>];
        return { bytes, metadata, line };
      }),
    );
    assert.deepEqual(two, one);
    for (const workers of [1, 2]) {
      await assert.rejects(
        pack("short", workers, 4),
        new RangeError(
          "Cannot pack row 3, block block 3: it has 5 tokens, expected at " +
            "most 4: give a larger --length",
        ),
      );
    }
  }));

Deno.test("pta pack refuses two sources of one name, and says which", () =>
  inTemporaryDirectory(async (directory) => {
    await writeInputs(directory);
    const { code, stderr } = await run(
      directory,
      ...["--target-representations", "llama", "--out", "packed"],
      ...["--aligned", "aligned", "aligned"],
    );
    assert.equal(code, 1);
    assert.match(
      stderr,
      /error: Cannot pack aligned: its source is called gpt2, expected another name than that of aligned/,
    );
  }));

Deno.test("pta pack keeps losses per token and packs as published where it is asked to", () =>
  inTemporaryDirectory(async (directory) => {
    await writeInputs(directory);
    const flags = ["--target-representations", "llama", "--aligned", "aligned"]
      .concat("--out", "packed", "--length", "31");
    const defects = ["--reference", "cut-documents,f16-metrics"];
    const lacking = await run(directory, ...flags, ...defects);
    assert.match(
      lacking.stderr,
      /error: Cannot pack with --reference f16-metrics: .* expected --source-representations/,
    );
    const foreign = ["--source-representations", "aligned"];
    assert.match(
      (await run(directory, ...flags, ...foreign)).stderr,
      /error: Cannot pack aligned: the representations of gpt2 .* are not among aligned/,
    );
    const own = ["--source-representations", "llama"];
    const { code, stderr } = await run(
      directory,
      ...[...flags, ...defects, ...own],
    );
    assert.equal(code, 0, stderr);
    const packed = join(directory, "packed");
    const { options } = await readManifest(packed);
    assert.equal(options.reference, "cut-documents,f16-metrics");
    using rows = await openRandomAccess(packed, datasets.packed());
    const { gpt2, target } = rows.row(0).teachers;
    assert.deepEqual(gpt2!.natsPerToken, target!.natsPerToken);
    assert.ok(gpt2!.natsPerToken!.some((nats) => nats > 0));
  }));
