import assert from "node:assert/strict";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import {
  Field,
  LargeUtf8,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import { parquetWriteBuffer } from "hyparquet-writer";
import { datasets, readDocuments, writeDataset } from "#/shards/mod.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const texts = ["one", "", "two\r\nlines\n", "naïve 𝕋", "\ufeffmarked"];

async function read(...paths: string[]): Promise<[string, string][]> {
  const documents = await Array.fromAsync(readDocuments(paths));
  return documents.map(({ id, text }) => [id, text]);
}

function named(name: string, values: readonly string[]): [string, string][] {
  return values.map((text, row) => [`${name}:${row}`, text]);
}

function arrowStream(
  type: Utf8 | LargeUtf8,
  values: readonly (string | null)[],
): Uint8Array {
  const schema = new Schema([new Field("text", type, true)]);
  const [child] = vectorFromArray(values, type as Utf8).data;
  const struct = makeData({
    type: new Struct(schema.fields),
    length: values.length,
    children: [child!],
  });
  const batch = new RecordBatch(schema, struct);
  return RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true);
}

Deno.test("readDocuments() takes a .txt as one document, without its byte order mark", () =>
  inTemporaryDirectory(async (directory) => {
    const path = join(directory, "a.txt");
    await Deno.writeTextFile(path, "\ufeffone\r\n\r\ntwo\n");
    assert.deepEqual(await read(path), named("a.txt", ["one\r\n\r\ntwo\n"]));
    await Deno.writeTextFile(path, "");
    assert.deepEqual(await read(path), named("a.txt", [""]));
  }));

Deno.test("readDocuments() takes a line of a .jsonl as one document", () =>
  inTemporaryDirectory(async (directory) => {
    const path = join(directory, "a.jsonl");
    const lines = texts.map((text, id) => JSON.stringify({ id, text }));
    await Deno.writeTextFile(path, "\ufeff" + lines.join("\r\n\n \n"));
    assert.deepEqual(await read(path), named("a.jsonl", texts));
    // Lines longer than the chunks the file is read in.
    const long = ["x".repeat(300_001), "ü".repeat(400_000), "end"];
    await Deno.writeTextFile(
      path,
      long.map((text) => JSON.stringify({ text }) + "\n").join(""),
    );
    assert.deepEqual(await read(path), named("a.jsonl", long));
  }));

Deno.test("readDocuments() replaces what has no UTF-8 bytes", () =>
  inTemporaryDirectory(async (directory) => {
    const path = join(directory, "a.jsonl");
    await Deno.writeTextFile(path, '{"text":"a\\ud800b"}');
    assert.deepEqual(await read(path), named("a.jsonl", ["a\ufffdb"]));
  }));

Deno.test("readDocuments() names the line of a .jsonl that is none", () =>
  inTemporaryDirectory(async (directory) => {
    const path = join(directory, "a.jsonl");
    const messages = {
      "{": `Cannot read line 3 of ${path}: it is not JSON`,
      "7": `Cannot read line 3 of ${path}: text is absent, expected a string`,
      "null":
        `Cannot read line 3 of ${path}: text is absent, expected a string`,
      '{"text":null}':
        `Cannot read line 3 of ${path}: text is null, expected a string`,
    };
    for (const [line, message] of Object.entries(messages)) {
      await Deno.writeTextFile(path, `{"text":"a"}\n\n${line}\n`);
      await assert.rejects(read(path), { message });
    }
    await Deno.writeFile(path, Uint8Array.of(34, 0xff, 34, 10));
    await assert.rejects(read(path), {
      name: "SyntaxError",
      message: `Cannot read line 1 of ${path}: it is not UTF-8`,
    });
  }));

Deno.test("readDocuments() reads Parquet, row group by row group, compressed or not", () =>
  inTemporaryDirectory(async (directory) => {
    const codecs = {
      UNCOMPRESSED: (bytes: Uint8Array) => bytes,
      SNAPPY: undefined,
      GZIP: (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes)),
      ZSTD: (bytes: Uint8Array) => new Uint8Array(zstdCompressSync(bytes)),
    };
    const values = texts.slice(0, 4);
    for (const [codec, compress] of Object.entries(codecs)) {
      const path = join(directory, `${codec}.parquet`);
      const buffer = parquetWriteBuffer({
        columnData: [
          { name: "n", data: [1, 2, 3, 4] },
          { name: "text", data: values, type: "STRING" },
        ],
        codec: codec as keyof typeof codecs,
        ...(compress && { compressors: { [codec]: compress } }),
        rowGroupSize: 3,
      });
      await Deno.writeFile(path, new Uint8Array(buffer));
      assert.deepEqual(await read(path), named(`${codec}.parquet`, values));
    }
  }));

Deno.test("readDocuments() names what is wrong with a Parquet file", () =>
  inTemporaryDirectory(async (directory) => {
    const path = join(directory, "a.parquet");
    const write = (name: string, data: (string | null)[]) =>
      Deno.writeFile(
        path,
        new Uint8Array(
          parquetWriteBuffer({ columnData: [{ name, data, type: "STRING" }] }),
        ),
      );
    await write("body", ["a"]);
    await assert.rejects(read(path), {
      message: `Cannot read ${path}: it has the columns body, expected a ` +
        "column text",
    });
    await write("text", ["a", null]);
    await assert.rejects(read(path), {
      name: "TypeError",
      message: `Cannot read row 1 of ${path}: text is null, expected a string`,
    });
    await Deno.truncate(path, 30);
    await assert.rejects(read(path), {
      name: "SyntaxError",
      message:
        `Cannot read ${path}: expected a Parquet file that can be decoded`,
    });
  }));

Deno.test("readDocuments() reads Arrow streams and datasets of other makers", () =>
  inTemporaryDirectory(async (directory) => {
    const large = join(directory, "large.arrow");
    await Deno.writeFile(large, arrowStream(new LargeUtf8(), ["a", "b"]));
    assert.deepEqual(await read(large), named("large.arrow", ["a", "b"]));

    const saved = join(directory, "saved");
    await Deno.mkdir(saved);
    const shards = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"];
    for (const shard of shards) {
      await Deno.writeFile(join(saved, shard), arrowStream(new Utf8(), texts));
    }
    await Deno.writeTextFile(
      join(saved, "state.json"),
      JSON.stringify({ _data_files: shards.map((filename) => ({ filename })) }),
    );
    assert.deepEqual(await read(saved), named("saved", [...texts, ...texts]));

    await Deno.writeFile(
      join(saved, shards[1]!),
      arrowStream(new Utf8(), ["a", null]),
    );
    await assert.rejects(read(saved), {
      message: `Cannot read row 6 of ${saved}: text is null, expected a string`,
    });
  }));

Deno.test("readDocuments() joins the blocks of a text dataset again", () =>
  inTemporaryDirectory(async (directory) => {
    const out = join(directory, "text");
    const documents = [["one", "\ufeff two"], [""], ["three"]];
    const rows = documents.flatMap((blocks, document) =>
      blocks.map((text, block) => ({
        id: `${document}:${block}`,
        document: `${document}`,
        block,
        last: block === blocks.length - 1,
        text,
      }))
    );
    await writeDataset({
      out,
      stage: "split",
      options: {},
      inputs: {},
      schema: datasets.text,
      splits: ["train", "validation"],
    }, () => rows);
    const joined = documents.map((blocks) => blocks.join(""));
    assert.deepEqual(await read(join(out, "train")), named("train", joined));
    await assert.rejects(read(out), {
      name: "RangeError",
      message: `Cannot read dataset ${out}: it has the splits train, ` +
        `validation, expected one: name it, as ${out}/train`,
    });
  }));

Deno.test("readDocuments() walks directories and patterns, with ids that differ", () =>
  inTemporaryDirectory(async (directory) => {
    for (const folder of ["a", "b", "b/deep", ".hidden"]) {
      await Deno.mkdir(join(directory, folder));
      await Deno.writeTextFile(join(directory, folder, "x.txt"), folder);
    }
    await Deno.writeTextFile(join(directory, "b/notes.md"), "left out");
    assert.deepEqual(
      await read(directory),
      [
        ["a/x.txt:0", "a"],
        ["deep/x.txt:0", "b/deep"],
        ["b/x.txt:0", "b"],
      ],
    );
    assert.deepEqual(await read(join(directory, "[ab]/*.txt")), [
      ["a/x.txt:0", "a"],
      ["b/x.txt:0", "b"],
    ]);
    assert.deepEqual(
      await read(join(directory, "b"), join(directory, "b/x.txt")),
      [["deep/x.txt:0", "b/deep"], ["b/x.txt:0", "b"]],
    );
  }));

Deno.test("readDocuments() names a path that holds no documents", () =>
  inTemporaryDirectory(async (directory) => {
    const nowhere = join(directory, "nowhere.txt");
    await assert.rejects(read(nowhere), {
      message: `Cannot read ${nowhere}: no such file or directory`,
    });
    const pattern = join(directory, "*.txt");
    await assert.rejects(read(pattern), {
      message: `Cannot read ${pattern}: no file matches the pattern`,
    });
    const markdown = join(directory, "a.md");
    await Deno.writeTextFile(markdown, "");
    for (const path of [directory, markdown]) {
      await assert.rejects(read(path), {
        message: `Cannot read ${path}: expected .txt, .jsonl, .parquet, ` +
          ".arrow, a saved dataset, or a directory of those",
      });
    }
    const binary = join(directory, "a.txt");
    await Deno.writeFile(binary, Uint8Array.of(0xc3, 0x28));
    await assert.rejects(read(binary), {
      name: "SyntaxError",
      message: `Cannot read ${binary}: it is not UTF-8`,
    });
  }));
