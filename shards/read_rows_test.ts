import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import fc from "fast-check";
import pl from "nodejs-polars";
import {
  type AlignedRow,
  datasets,
  type DatasetSchema,
  openRandomAccess,
  type PackedRow,
  readManifest,
  readRows,
  type TextRow,
  type VocabMappingRow,
  writeDataset,
} from "#/shards/mod.ts";
import { shardPaths } from "#/shards/layout.ts";
import { alignedRows, representationRows } from "#/tests/shard_rows.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const representations = representationRows(23);
const aligned = alignedRows(representations);

const texts: TextRow[] = ["", "naïve 𝕋ext\r\n", "\ufeffmarked", "\0"].map(
  (text, block) => ({
    id: `t:${block}`,
    document: "t",
    block,
    last: block === 3,
    text,
  }),
);

const images: VocabMappingRow[] = [
  { sourceId: 0, targetId: 7, distance: 0, weight: 1 },
  { sourceId: 2 ** 31 - 1, targetId: -1, distance: 2.5, weight: 0.25 },
];

const packed: PackedRow[] = [0, 1].map((row) => ({
  inputIds: Int32Array.of(1, 2, row),
  labels: Int32Array.of(2, row, -100),
  document: Int32Array.of(0, 0, -1),
  position: Int32Array.of(0, 1, 0),
  teachers: {
    target: {
      topK: 2,
      topkIds: Int32Array.of(5, 6, 7, -1, -1, -1),
      topkLogprobs: Float32Array.of(-1, -2, -0.5, ...Array(3).fill(-Infinity)),
      weight: Float32Array.of(1, 1, 0),
      bitsPerByte: Float32Array.of(0.5, 0.5, 0),
      labelLogprobs: Float32Array.of(-0.25, NaN, NaN),
    },
    // As earlier versions wrote it, without labelLogprobs.
    "gpt2_small": {
      topK: 1,
      topkIds: Int32Array.of(5, 6, -1),
      topkLogprobs: Float32Array.of(-1, -2, -Infinity),
      weight: Float32Array.of(1, 0, 0),
      bitsPerByte: Float32Array.of(0.75, 0.75, 0),
    },
  },
}));

function write<Row>(
  out: string,
  schema: DatasetSchema<Row>,
  rows: readonly Row[],
  rowsPerShard = 5,
) {
  const plan = { out, stage: "x", options: {}, inputs: {}, schema };
  return writeDataset({ ...plan, rowsPerShard }, () => rows);
}

async function roundTrip<Row>(
  schema: DatasetSchema<Row>,
  rows: readonly Row[],
): Promise<void> {
  await inTemporaryDirectory(async (out) => {
    await write(out, schema, rows);
    assert.deepEqual(await Array.fromAsync(readRows(out, schema)), rows);
  });
}

/** The only shard of a dataset, as polars reads it. */
function polars(directory: string): pl.DataFrame {
  const [path] = shardPaths(directory);
  return pl.readIPCStream(Buffer.from(Deno.readFileSync(path!)));
}

Deno.test("readRows() returns every kind of row as it was written", async () => {
  await roundTrip(datasets.text, texts);
  await roundTrip(datasets.representations, representations);
  await roundTrip(datasets.vocabMappings, images);
  await roundTrip(datasets.aligned, aligned);
  await roundTrip(datasets.packed(), packed);
});

Deno.test("readRows() returns any text, wherever shards are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: "binary" })),
      fc.integer({ min: 1, max: 7 }),
      async (texts, rowsPerShard) => {
        const rows = texts.map((text, block) => ({
          id: `${block}`,
          document: "",
          block,
          last: text.length % 2 === 0,
          text: text.toWellFormed(),
        }));
        await inTemporaryDirectory(async (out) => {
          await write(out, datasets.text, rows, rowsPerShard);
          assert.deepEqual(
            await Array.fromAsync(readRows(out, datasets.text)),
            rows,
          );
        });
      },
    ),
    { numRuns: 30 },
  );
});

Deno.test("readRows() reads the teachers it is asked for", () =>
  inTemporaryDirectory(async (out) => {
    await write(out, datasets.packed(), packed);
    const [row] = await Array.fromAsync(
      readRows(out, datasets.packed(["gpt2_small"])),
    );
    assert.deepEqual(row!.teachers, {
      gpt2_small: packed[0]!.teachers.gpt2_small,
    });
    await assert.rejects(
      readRows(out, datasets.packed(["mpt"])).next(),
      /^TypeError: Cannot read .* expected a column mpt_topk_ids of List<Fixed/,
    );
  }));

Deno.test("readRows() yields views into one batch, not copies", () =>
  inTemporaryDirectory(async (out) => {
    await write(out, datasets.representations, representations);
    const [first, second] = await Array.fromAsync(
      readRows(out, datasets.representations),
    );
    assert.equal(first!.inputIds.buffer, second!.inputIds.buffer);
    assert.equal(first!.topkIds.buffer, second!.topkIds.buffer);
  }));

Deno.test("readRows() of a dataset polars reads, too", async () => {
  await inTemporaryDirectory(async (out) => {
    await write(out, datasets.text, texts);
    assert.deepEqual(polars(out).toRecords(), texts);
  });
  await inTemporaryDirectory(async (out) => {
    await write(out, datasets.vocabMappings, images);
    assert.deepEqual(polars(out).columns, [
      "source_id",
      "target_id",
      "distance",
      "weight",
    ]);
    assert.deepEqual(
      polars(out).rows(),
      images.map((row) => Object.values(row)),
    );
  });
  await inTemporaryDirectory(async (out) => {
    await write(out, datasets.representations, representations, 100);
    const frame = polars(out);
    assert.deepEqual(frame.columns, [
      "id",
      "text_hash",
      "input_ids",
      "byte_ends",
      "topk_ids",
      "topk_logprobs",
      "label_logprobs",
      "bits_per_byte",
    ]);
    // polars holds Float16 but cannot hand it to JavaScript.
    const read = frame.drop("topk_logprobs").toRecords() as unknown as {
      input_ids: number[];
      label_logprobs: number[];
      topk_ids: number[][];
    }[];
    assert.deepEqual(
      read.map((row) => Array.from(row.input_ids)),
      representations.map(({ inputIds }) => [...inputIds]),
    );
    assert.deepEqual(
      read.map((row) => Array.from(row.label_logprobs)),
      representations.map(({ labelLogprobs }) => [...labelLogprobs]),
    );
    assert.deepEqual(
      read.map((row) => row.topk_ids.flatMap((k) => [...k])),
      representations.map(({ topkIds }) => [...topkIds]),
    );
  });
});

Deno.test("readRows() throws if a shard is truncated, wherever it ends", () =>
  inTemporaryDirectory(async (out) => {
    await write(out, datasets.representations, representations, 100);
    const [path] = shardPaths(out);
    const whole = await Deno.readFile(path!);
    for (const length of [0, 5, 100, whole.length >> 1, whole.length - 1]) {
      await Deno.writeFile(path!, whole.subarray(0, length));
      await assert.rejects(
        Array.fromAsync(readRows(out, datasets.representations)),
        new RegExp(`^SyntaxError: Cannot read ${path}: it is truncated`),
      );
    }
    // Cut between two messages, where apache-arrow's reader sees no fault.
    await Deno.writeFile(path!, whole.subarray(0, whole.length - 8));
    await assert.rejects(
      Array.fromAsync(readRows(out, datasets.representations)),
      /it is truncated/,
    );
  }));

Deno.test("readRows() throws if a compressed buffer is damaged", () =>
  inTemporaryDirectory(async (out) => {
    const rows = representationRows(100, 10);
    await write(out, datasets.representations, rows, 100);
    const [path] = shardPaths(out);
    const whole = await Deno.readFile(path!);
    const frames = whole.keys().filter((at) =>
      [0x28, 0xb5, 0x2f, 0xfd].every((byte, i) => whole[at + i] === byte)
    ).toArray();
    assert.ok(frames.length > 5);
    for (const frame of frames) {
      for (const at of [frame, frame + 9]) {
        const damaged = whole.slice();
        damaged[at]! ^= 16;
        await Deno.writeFile(path!, damaged);
        await assert.rejects(
          readRows(out, datasets.representations).next(),
          /^SyntaxError: Cannot read .* the Arrow IPC message at byte \d+ is damaged/,
        );
      }
    }
  }));

Deno.test("readRows() throws if a shard is something else", () =>
  inTemporaryDirectory(async (out) => {
    await write(out, datasets.text, texts);
    const [path] = shardPaths(out);
    await Deno.writeTextFile(path!, "this is no Arrow file, but long enough");
    await assert.rejects(
      readRows(out, datasets.text).next(),
      new SyntaxError(
        `Cannot read ${path}: byte 0 starts no Arrow IPC message`,
      ),
    );
    const noise = new Uint8Array(64).fill(7);
    noise.set([255, 255, 255, 255, 32, 0, 0, 0]);
    await Deno.writeFile(path!, noise);
    await assert.rejects(readRows(out, datasets.text).next(), SyntaxError);
  }));

Deno.test("readRows() names the column that is missing or of another type", () =>
  inTemporaryDirectory(async (directory) => {
    const out = join(directory, "text");
    await write(out, datasets.text, texts);
    const [path] = shardPaths(out);
    await assert.rejects(readRows(out, datasets.vocabMappings).next(), {
      name: "TypeError",
      message: `Cannot read ${path} as vocab mapping: it has the columns id, ` +
        "document, block, last, text, expected a column source_id of Int32",
    });
    const other = join(directory, "other");
    await write(other, datasets.representations, representations, 100);
    const [shard] = shardPaths(other);
    const asAligned: DatasetSchema<AlignedRow> = {
      ...datasets.aligned,
      columns: () => ({ id: "utf8", input_ids: "float32List" }),
    };
    await assert.rejects(readRows(other, asAligned).next(), {
      message: `Cannot read ${shard} as aligned: column input_ids is ` +
        "List<Int32>, expected List<Float32>",
    });
  }));

Deno.test("readManifest() says that a file is none", async () => {
  const file = new URL(import.meta.url).pathname;
  await assert.rejects(readManifest(file), {
    message: `Cannot read dataset ${file}: it is a file, expected the ` +
      "directory that a stage has written",
  });
});

Deno.test("readRows() throws if the dataset is not complete", () =>
  inTemporaryDirectory(async (directory) => {
    const nowhere = join(directory, "nowhere");
    await assert.rejects(readRows(nowhere, datasets.text).next(), {
      message: `Cannot read dataset ${nowhere}: no such directory`,
    });
    await assert.rejects(readRows(directory, datasets.text).next(), {
      message: `Cannot read dataset ${directory}: it is not complete: there ` +
        "is no manifest.json",
    });
    const out = join(directory, "out");
    const { manifest } = await write(out, datasets.text, texts);
    await Deno.writeTextFile(
      join(out, "manifest.json"),
      JSON.stringify({ ...manifest, splits: { train: 5 } }),
    );
    await assert.rejects(Array.fromAsync(readRows(out, datasets.text)), {
      message: `Cannot read dataset ${out}: its shards hold 4 rows of train, ` +
        "expected 5 as in manifest.json",
    });
  }));

Deno.test("openRandomAccess() returns the rows of readRows() in any order", () =>
  inTemporaryDirectory(async (out) => {
    await write(out, datasets.representations, representations);
    using rows = await openRandomAccess(out, datasets.representations, {
      cachedBatches: 2,
    });
    assert.equal(rows.length, 23);
    for (let step = 0; step < 60; step++) {
      const index = step * 7 % 23;
      assert.deepEqual(rows.row(index), representations[index]);
    }
    assert.throws(() => rows.row(23), {
      message: `Cannot read row 23 of ${out}: it has 23 rows`,
    });
    assert.throws(() => rows.row(-1), RangeError);
  }));
