import assert from "node:assert/strict";
import { join } from "node:path";
import {
  datasets,
  type PackedRow,
  type TextRow,
  writeDataset,
} from "#/shards/mod.ts";
import { openTrainingData } from "#/stages/train/open_data.ts";
import { makeTinyModel, tinyText } from "#/tests/tiny_language.ts";

const directory = await Deno.makeTempDir({ prefix: "pta-open-data-test-" });
const tokenizer = await makeTinyModel(join(directory, "model"));
const options = { tokenizer, length: 32, split: "train" } as const;
const [first, second] = [tinyText(0, 5), tinyText(50, 3)];

Deno.test("openTrainingData() reads documents of .txt and .jsonl alike", async () => {
  const text = join(directory, "text");
  await Deno.mkdir(text);
  await Deno.writeTextFile(join(text, "a.txt"), first);
  await Deno.writeTextFile(join(text, "b.txt"), second);
  const lines = join(directory, "lines.jsonl");
  const line = (text: string) => JSON.stringify({ text });
  await Deno.writeTextFile(lines, [first, "", second].map(line).join("\n"));

  using files = await openTrainingData([text], options);
  using jsonl = await openTrainingData([lines], options);
  assert.deepEqual(await labelled(files), await labelled(jsonl));
  assert.equal(files.digest, jsonl.digest);
  assert.equal(files.bytes, new TextEncoder().encode(first + second).length);
  const { eos } = tokenizer.special;
  assert.equal((await labelled(files)).filter((id) => id === eos).length, 2);
});

Deno.test("openTrainingData() reads the split of a text dataset", async () => {
  const out = join(directory, "blocks");
  const block = (split: string, block: number, text: string): TextRow => ({
    id: `${split}-${block}`,
    document: split,
    block,
    last: block === 1,
    text,
  });
  await writeDataset<TextRow>({
    out,
    stage: "split",
    options: {},
    inputs: {},
    schema: datasets.text,
    splits: ["train", "validation"],
  }, async function* ({ split }) {
    const text = split === "train" ? first : second;
    yield block(split, 0, text.slice(0, 20));
    yield block(split, 1, text.slice(20));
  });
  for (
    const [split, text] of [["train", first], ["validation", second]] as const
  ) {
    using data = await openTrainingData([out], { ...options, split });
    const ids = await labelled(data);
    assert.equal(ids.pop(), tokenizer.special.eos);
    assert.equal(tokenizer.decode(ids), text);
    assert.equal(data.bytes, text.length);
  }
});

Deno.test("openTrainingData() reads packed rows and their teachers", async () => {
  const out = join(directory, "packed");
  await writePacked(out, ["target", "source"]);
  using data = await openTrainingData([out, out], options);
  assert.deepEqual(data.teachers, { target: 2, source: 2 });
  assert.deepEqual([data.rows, data.length], [6, 4]);
  const row = await data.read(4);
  assert.deepEqual([...row.inputIds], [1, 2, 3, 4]);
  assert.deepEqual([...row.teachers.source!.topkIds], [0, 1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("openTrainingData() says what does not go together", async () => {
  const [one, two] = [join(directory, "one"), join(directory, "two")];
  await writePacked(one, ["target", "a"]);
  await writePacked(two, ["target", "b"]);
  await assert.rejects(
    openTrainingData([one, two], options),
    /together: rows of 4 with teachers a \(top 2\), target \(top 2\) against .* b/,
  );
  const empty = join(directory, "empty.txt");
  await Deno.writeTextFile(empty, "");
  await assert.rejects(openTrainingData([empty], options), /it has none/);
  await assert.rejects(openTrainingData([join(directory, "absent")], options));
});

async function labelled(
  data: { rows: number; read(row: number): Promise<PackedRow> },
): Promise<number[]> {
  const ids: number[] = [];
  for (let row = 0; row < data.rows; row++) {
    ids.push(...(await data.read(row)).labels.filter((id) => id >= 0));
  }
  return ids;
}

async function writePacked(out: string, teachers: string[]): Promise<void> {
  const teacher = {
    topK: 2,
    topkIds: Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7),
    topkLogprobs: new Float32Array(8).fill(-1),
    weight: Float32Array.of(1, 1, 1, 0),
    bitsPerByte: new Float32Array(4).fill(2),
  };
  const row: PackedRow = {
    inputIds: Int32Array.of(1, 2, 3, 4),
    labels: Int32Array.of(2, 3, 4, -100),
    document: new Int32Array(4),
    position: Int32Array.of(0, 1, 2, 3),
    teachers: Object.fromEntries(teachers.map((name) => [name, teacher])),
  };
  await writeDataset<PackedRow>({
    out,
    stage: "pack",
    options: { teachers },
    inputs: {},
    schema: datasets.packed(teachers),
  }, async function* () {
    yield* [row, row, row];
  });
}

Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));
