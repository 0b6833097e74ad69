import assert from "node:assert/strict";
import { join } from "node:path";
import { datasets, readManifest, readRows } from "#/shards/mod.ts";
import { call } from "#/stages/command.ts";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { command } from "./main.ts";

const [target, source] = await Promise.all(
  (["llama", "gpt2"] as const).map(realTokenizer),
);
const TEXTS = Array.from(
  { length: 40 },
  (_, row) =>
    `Document ${row}.\n`.repeat(row) + "Some more text, é 日本. ".repeat(row),
);

async function withText(
  test: (text: string, out: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const path = join(directory, "a.jsonl");
    const lines = TEXTS.map((text) => JSON.stringify({ text }) + "\n");
    await Deno.writeTextFile(path, lines.join(""));
    await test(path, join(directory, "out"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function split(text: string, out: string, ...flags: string[]) {
  const models = ["--target", target!, "--source", source!];
  return call(command, [
    ...["split", "--text", text, ...models, "--out", out],
    ...["--max-tokens", "64", "--validation", "0.2", ...flags],
  ]);
}

async function documentsIn(out: string, name: string): Promise<string[]> {
  const documents = new Map<string, string>();
  for await (const row of readRows(out, datasets.text, { split: name })) {
    documents.set(row.document, (documents.get(row.document) ?? "") + row.text);
  }
  return [...documents.values()];
}

Deno.test("pta split writes every document once, whole, in train or validation", () =>
  withText(async (text, out) => {
    await split(text, out);
    const train = await documentsIn(out, "train");
    const validation = await documentsIn(out, "validation");
    assert.ok(validation.length > 0 && train.length > validation.length);
    const written = [...train, ...validation].sort();
    // The first document is empty: it has no blocks.
    assert.deepEqual(written, TEXTS.filter((text) => text !== "").sort());
    const { metadata, tokens, splits } = await readManifest(out);
    assert.equal(
      (metadata as { train: { documents: number } }).train.documents +
        (metadata as { validation: { documents: number } }).validation
          .documents,
      TEXTS.length,
    );
    assert.ok(tokens > 0 && splits.train! > 0);
  }));

Deno.test("pta split takes a pattern with the rights of its task", () =>
  withText(async (text, out) => {
    const args = ["run", "-q", "-P=pta", "stages/split/main.ts", "split"];
    const flags = ["--target", target!, "--out", out, "--json"];
    const pattern = text.replace("a.jsonl", "*.jsonl");
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...args, ...flags, "--text", pattern],
      cwd: new URL("../../", import.meta.url),
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const { train, validation } = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    assert.equal(train.documents + validation.documents, TEXTS.length);
  }));

Deno.test("pta split writes the same bytes with workers", () =>
  withText(async (text, out) => {
    await split(text, out);
    await split(text, `${out}2`, "--workers", "2");
    for (const name of ["train", "validation"]) {
      const file = `${name}/data-00000-of-00001.arrow`;
      const [one, two] = [out, `${out}2`].map((directory) =>
        Deno.readFileSync(join(directory, file))
      );
      assert.deepEqual(two, one);
    }
  }));

Deno.test("pta split names the document and the tokenizer that workers fail at", () =>
  withText(async (text, out) => {
    const directory = join(out, "broken");
    await Deno.mkdir(directory, { recursive: true });
    const flags = ["--text", text, "--workers", "2", "--max-tokens", "4"];
    const run = (source: string, ...more: string[]) =>
      call(command, [
        ...["split", "--target", target!, "--source", source],
        ...[...flags, ...more],
      ]);
    await Deno.writeTextFile(join(directory, "tokenizer.json"), "{");
    await assert.rejects(
      run(directory, "--out", `${out}3`),
      /^SyntaxError: Cannot load tokenizer .*broken.*: it is not JSON/,
    );
    await Deno.writeTextFile(text, JSON.stringify({ text: "a 🫠" }));
    await assert.rejects(
      run(source!, "--out", `${out}4`),
      /^RangeError: Cannot split document 0 of .*a\.jsonl: Cannot cut a text/,
    );
  }));

Deno.test("pta split does nothing where it is done", () =>
  withText(async (text, out) => {
    await split(text, out);
    const { lines } = await split(text, out);
    assert.equal((lines[0] as { skipped: boolean }).skipped, true);
    await assert.rejects(split(text, out, "--seed", "1"), /seed/);
  }));

Deno.test("pta split names the tokenizer that is missing", () =>
  withText(async (text, out) => {
    const flags = ["--text", text, "--target", "/no/such/model", "--out", out];
    await assert.rejects(
      call(command, ["split", ...flags]),
      /\/no\/such\/model/,
    );
  }));

Deno.test("pta split slices tokens where it is to do as published", () =>
  withText(async (text, out) => {
    await assert.rejects(
      split(text, out, "--reference", "fixed-slack"),
      /Cannot split with --reference fixed-slack alone: .* expected token-slices/,
    );
    await split(text, out, "--reference", "token-slices");
    const written = await documentsIn(out, "train");
    const whole = new Set(TEXTS);
    assert.ok(written.some((document) => !whole.has(document)));
    assert.ok(written.some((document) => whole.has(document)));
    const { options } = await readManifest(out);
    assert.equal(options.reference, "token-slices");
  }));
