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
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

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

function namesIn(directory: string): string[] {
  return Array.from(Deno.readDirSync(directory), ({ name }) => name).sort();
}

/** Runs `writeDataset()` with what `produce` yields in a process of its own. */
function writerProcess(
  out: string,
  produce: string,
  options: { ulimit?: number; denoDir?: string } = {},
): Deno.ChildProcess {
  const script = `
    import { datasets, writeDataset } from "#/shards/mod.ts";
    import { representationRows } from "#/tests/shard_rows.ts";
    await writeDataset({
      out: ${JSON.stringify(out)}, stage: "represent", rowsPerShard: 5,
      options: { topK: 3, tau: Infinity }, inputs: {},
      schema: datasets.representations,
    }, async function* ({ rows }) { ${produce} }).catch(async (error) => {
      Deno.stderr.writeSync(new TextEncoder().encode(error.message));
      // Another thread swallows SIGXFSZ; an exit before that dies of it.
      await new Promise((resolve) => setTimeout(resolve, 200));
      Deno.exit(1);
    });`;
  const limit = options.ulimit ?? "unlimited";
  const command = `ulimit -f ${limit}; exec "$0" eval --ext=ts "$1"`;
  return new Deno.Command("sh", {
    args: ["-c", command, Deno.execPath(), script],
    cwd: new URL("..", import.meta.url),
    env: options.denoDir ? { DENO_DIR: options.denoDir } : {},
    stderr: "piped",
  }).spawn();
}

/** A DENO_DIR that shares nothing but the packages. */
async function freshDenoDir(directory: string): Promise<string> {
  const info = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] });
  const { stdout } = await info.output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout));
  await Deno.mkdir(directory);
  await Deno.symlink(npmCache, join(directory, "npm"));
  return directory;
}

Deno.test("writeDataset() and readRows() keep every value, NaN and padding included", () =>
  inTemporaryDirectory(async (out) => {
    const { manifest, skipped } = await writeDataset(
      planFor(out),
      () => rows,
      (row) => row.inputIds.length,
    );
    assert.equal(skipped, false);
    assert.equal(manifest.rows, 23);
    assert.deepEqual(manifest.splits, { train: 23 });
    const lengths = rows.map(({ inputIds }) => inputIds.length);
    assert.equal(manifest.tokens, lengths.reduce((sum, n) => sum + n, 0));
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

Deno.test("writeDataset() leaves what load_from_disk() of datasets wants", () =>
  inTemporaryDirectory(async (out) => {
    await writeDataset(planFor(out), () => rows);
    const json = async (name: string) =>
      JSON.parse(await Deno.readTextFile(join(out, name)));
    const { _fingerprint, ...state } = await json("state.json");
    assert.match(_fingerprint, /^[0-9a-f]{16}$/);
    assert.deepEqual(state, {
      _data_files: [0, 1, 2, 3, 4].map((shard) => ({
        filename: `data-0000${shard}-of-00005.arrow`,
      })),
      _format_columns: null,
      _format_kwargs: {},
      _format_type: null,
      _output_all_columns: false,
      _split: "train",
    });
    assert.deepEqual(await json("dataset_info.json"), {
      citation: "",
      description: "",
      features: null,
      homepage: "",
      license: "",
    });
  }));

Deno.test("writeDataset() rounds logprobs to the nearest f16, ties to even", () =>
  inTemporaryDirectory(async (out) => {
    // Between 1 and 2 an f16 ulp is 2^-10: halfway up, halfway to even, near.
    const ulp = 2 ** -10;
    const [row] = representationRows(1, 3);
    row!.topkLogprobs.set([-1 - ulp / 2, -1 - 1.5 * ulp, -1 - 0.51 * ulp]);
    await writeDataset(planFor(out), () => [row!]);
    const [read] = await Array.fromAsync(
      readRows(out, datasets.representations),
    );
    assert.deepEqual(
      [...read!.topkLogprobs.subarray(0, 3)],
      [-1, -1 - 2 * ulp, -1 - ulp],
    );
  }));

Deno.test("writeDataset() goes on behind the last complete shard and leaves the same bytes", () =>
  inTemporaryDirectory(async (directory) => {
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

Deno.test("writeDataset() goes on behind shards of earlier versions, which are not compressed", () =>
  inTemporaryDirectory(async (out) => {
    const plan = planFor(out, { compression: "none" });
    await assert.rejects(writeDataset(plan, function* () {
      yield* rows.slice(0, 12);
      throw new Error("out of power");
    }));
    let from = -1;
    await writeDataset(planFor(out), (resume) => {
      from = resume.rows;
      return rows.slice(from);
    });
    assert.equal(from, 10);
    assert.deepEqual(
      await Array.fromAsync(readRows(out, datasets.representations)),
      rows,
    );
  }));

Deno.test("writeDataset() goes on after SIGKILL, and locks out a second process", () =>
  inTemporaryDirectory(async (directory) => {
    const whole = join(directory, "whole");
    await writeDataset(planFor(whole), () => rows);
    const out = join(directory, "killed");
    const writer = writerProcess(
      out,
      `
      yield* representationRows(18);
      await new Promise((resolve) => setTimeout(resolve, 60_000));`,
    );
    const third = join(out, "data-00003.arrow.tmp");
    while (!await Deno.stat(third).catch(() => undefined)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await assert.rejects(writeDataset(planFor(out), () => rows), {
      message: `Cannot write dataset ${out}: another process is writing it`,
    });
    writer.kill("SIGKILL");
    await writer.status;
    await writer.stderr.cancel();
    await assert.rejects(readManifest(out), {
      message: `Cannot read dataset ${out}: it is not complete: the run that ` +
        "makes it has not ended, start it again to go on",
    });
    let from = -1;
    await writeDataset(planFor(out), (resume) => {
      from = resume.rows;
      return rows.slice(from);
    });
    assert.equal(from, 15);
    assert.deepEqual(await contents(out), await contents(whole));
  }));

Deno.test("writeDataset() finishes what was killed while shards got their last names", () =>
  inTemporaryDirectory(async (directory) => {
    const whole = join(directory, "whole");
    await writeDataset(planFor(whole), () => rows);
    const out = join(directory, "renaming");
    await writeDataset(planFor(out), () => rows);
    const { stage, options, inputs } = await readManifest(out);
    await Deno.writeTextFile(
      join(out, "partial.json"),
      JSON.stringify({ stage, options, inputs }),
    );
    for (const name of ["manifest.json", "state.json"]) {
      await Deno.remove(join(out, name));
    }
    await Deno.rename(
      join(out, "data-00003-of-00005.arrow"),
      join(out, "data-00003.arrow"),
    );
    await writeDataset(planFor(out), () => assert.fail("all rows are there"));
    assert.deepEqual(await contents(out), await contents(whole));
    assert.equal((await readManifest(out)).rows, 23);
  }));

Deno.test("writeDataset() makes a damaged shard and all behind it again", () =>
  inTemporaryDirectory(async (directory) => {
    const whole = join(directory, "whole");
    await writeDataset(planFor(whole), () => rows);
    const out = join(directory, "damaged");
    await assert.rejects(writeDataset(planFor(out), function* () {
      yield* rows.slice(0, 17);
      throw new Error("out of power");
    }));
    await Deno.truncate(join(out, "data-00001.arrow"), 1000);
    let from = -1;
    await writeDataset(planFor(out), (resume) => {
      from = resume.rows;
      return rows.slice(from);
    });
    assert.equal(from, 5);
    assert.deepEqual(await contents(out), await contents(whole));
  }));

Deno.test("writeDataset() does nothing where the dataset is complete", () =>
  inTemporaryDirectory(async (out) => {
    const first = await writeDataset(planFor(out), () => rows);
    const again = await writeDataset(planFor(out), () => assert.fail("called"));
    assert.deepEqual(again, { manifest: first.manifest, skipped: true });
  }));

Deno.test("writeDataset() refuses to mix runs", () =>
  inTemporaryDirectory(async (directory) => {
    const input = join(directory, "text.txt");
    await Deno.writeTextFile(input, "one");
    const inputs = { text: input };
    const complete = join(directory, "complete");
    await writeDataset(planFor(complete, { inputs }), () => rows);
    const other = (overrides: Partial<DatasetPlan<RepresentationRow>>) =>
      writeDataset(planFor(complete, { inputs, ...overrides }), () => rows);
    await assert.rejects(other({ options: { topK: 4, tau: Infinity } }), {
      message:
        `Cannot write dataset ${complete}: it holds a complete dataset ` +
        "whose options.topK is 3, expected 4: give another --out, or delete it",
    });
    await assert.rejects(other({ stage: "align" }), {
      message:
        `Cannot write dataset ${complete}: it holds a complete dataset ` +
        "whose stage is represent, expected align: give another --out, or " +
        "delete it",
    });
    await Deno.writeTextFile(input, "two");
    await assert.rejects(other({}), /whose inputs\.text is "[0-9a-f]{64}"/);

    const partial = join(directory, "partial");
    await assert.rejects(writeDataset(planFor(partial), function* () {
      yield* rows.slice(0, 7);
      throw new Error("out of power");
    }));
    await assert.rejects(
      writeDataset(planFor(partial, { options: { topK: 3 } }), () => rows),
      {
        message: `Cannot write dataset ${partial}: it holds an unfinished ` +
          'dataset whose options.tau is "Infinity", expected absent: give ' +
          "another --out, or delete it",
      },
    );
    await Deno.remove(join(partial, "partial.json"));
    await assert.rejects(
      writeDataset(planFor(partial), () => rows),
      /it holds data-00000.arrow of a run that left no manifest.json/,
    );
  }));

Deno.test("writeDataset() takes over what another plan began in vain", () =>
  inTemporaryDirectory(async (out) => {
    const splits = ["train", "validation"];
    const other = planFor(out, { options: { topK: 4 }, splits });
    await assert.rejects(writeDataset(other, function* () {
      yield* rows.slice(0, 3);
      throw new Error("out of power");
    }));
    const { manifest } = await writeDataset(
      planFor(out, { splits }),
      () => rows,
    );
    assert.equal(manifest.options.topK, 3);
    assert.ok(!namesIn(out).includes("partial.json"));
  }));

Deno.test("writeDataset() names the file it cannot write", () =>
  inTemporaryDirectory(async (directory) => {
    const file = join(directory, "file");
    await Deno.writeTextFile(file, "");
    await assert.rejects(writeDataset(planFor(file), () => rows), {
      message: `Cannot write dataset ${file}: it is a file, expected a ` +
        "directory or nothing",
    });
    const below = join(file, "below");
    await assert.rejects(
      writeDataset(planFor(below), () => rows),
      new RegExp(`^Error: Cannot write dataset ${below}: `),
    );
  }));

Deno.test({
  name: "writeDataset() keeps complete shards where a write fails",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inTemporaryDirectory(async (directory) => {
      const out = join(directory, "limited");
      // 4 MiB in blocks of 512 bytes, or 8 MiB in blocks of 1024. Deno's own
      // caches would meet the limit, too, so they start empty.
      const denoDir = await freshDenoDir(join(directory, "cache"));
      const writer = writerProcess(
        out,
        `
        const all = representationRows(10);
        yield* all.slice(0, 5);
        // Zstandard takes a quarter off, no more.
        const noise = () =>
          crypto.getRandomValues(new Uint8Array(3 * 2 ** 14)).toBase64();
        for (const row of all.slice(5)) {
          yield { ...row, id: Array.from({ length: 64 }, noise).join("") };
        }`,
        { ulimit: 8192, denoDir },
      );
      const { code, stderr } = await writer.output();
      assert.equal(code, 1);
      assert.match(
        new TextDecoder().decode(stderr),
        /Cannot write .*data-00001\.arrow: File too large/,
      );
      assert.deepEqual(namesIn(out), ["data-00000.arrow", "partial.json"]);
      await writeDataset(planFor(out), (resume) => rows.slice(resume.rows));
      assert.equal((await readManifest(out)).rows, 23);
    }),
});

Deno.test("writeDataset() names the row that does not fit", () =>
  inTemporaryDirectory(async (directory) => {
    const wide = join(directory, "wide");
    await assert.rejects(
      writeDataset(
        planFor(wide),
        () => [rows[0]!, representationRows(2, 4)[1]!],
      ),
      {
        name: "RangeError",
        message:
          `Cannot write row 1 of ${wide}: topk_ids is 4 wide, expected ` +
          "3 as in the first row",
      },
    );
    const short = join(directory, "short");
    await assert.rejects(
      writeDataset(
        planFor(short),
        () => [{ ...rows[0]!, byteEnds: new Int32Array(9) }],
      ),
      {
        name: "RangeError",
        message: `Cannot write row 0 of ${short}: byte_ends has 9 positions, ` +
          "expected 2 as input_ids",
      },
    );
    assert.deepEqual(namesIn(short), ["partial.json"]);
  }));

Deno.test("writeDataset() writes a dataset without rows", () =>
  inTemporaryDirectory(async (out) => {
    const { manifest } = await writeDataset(planFor(out), () => []);
    assert.equal(manifest.rows, 0);
    assert.deepEqual(
      await Array.fromAsync(readRows(out, datasets.representations)),
      [],
    );
    assert.deepEqual(namesIn(out), [
      "data-00000-of-00001.arrow",
      "dataset_info.json",
      "manifest.json",
      "state.json",
    ]);
  }));

Deno.test("writeDataset() writes splits one after the other, each resumed by itself", () =>
  inTemporaryDirectory(async (out) => {
    const plan = planFor(out, { splits: ["train", "validation"] });
    const calls: string[] = [];
    const produce = function* (split: string, from: number, fails: boolean) {
      calls.push(`${split} ${from}`);
      const all = split === "train" ? rows : rows.slice(0, 7);
      yield* all.slice(from, split === "validation" && fails ? 6 : undefined);
      if (split === "validation" && fails) throw new Error("out of power");
    };
    await assert.rejects(
      writeDataset(plan, ({ split, rows }) => produce(split, rows, true)),
    );
    const { manifest } = await writeDataset(
      plan,
      ({ split, rows }) => produce(split, rows, false),
    );
    assert.deepEqual(calls, ["train 0", "validation 0", "validation 5"]);
    assert.deepEqual(manifest.splits, { train: 23, validation: 7 });
    assert.deepEqual(
      await Array.fromAsync(
        readRows(out, datasets.representations, { split: "validation" }),
      ),
      rows.slice(0, 7),
    );
    assert.deepEqual(
      JSON.parse(await Deno.readTextFile(join(out, "dataset_dict.json"))),
      { splits: ["train", "validation"] },
    );
    await assert.rejects(
      readRows(out, datasets.representations, { split: "test" }).next(),
      {
        message: `Cannot read dataset ${out}: it has no split test, expected ` +
          "one of train, validation",
      },
    );
  }));
