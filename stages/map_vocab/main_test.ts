import assert from "node:assert/strict";
import {
  datasets,
  readManifest,
  readRows,
  type TextRow,
  writeDataset,
} from "#/shards/mod.ts";
import { call } from "#/stages/command.ts";
import { command as mapVocab } from "#/stages/map_vocab/main.ts";
import {
  type MapMethod,
  type MapMethodName,
  methods,
} from "#/stages/map_vocab/methods/mod.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { tinyText } from "#/tests/tiny_language.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { saveTokenizer, trainTokenizer } from "#/tools/bpe_trainer.ts";

/** Two tokenizers, and a corpus with two splits. */
async function withTokenizers(
  use: (root: string, args: string[]) => Promise<void>,
): Promise<void> {
  await inTemporaryDirectory(async (root) => {
    for (const kind of ["byte-level", "sentencepiece"] as const) {
      const options = { kind, vocabSize: kind === "byte-level" ? 300 : 280 };
      const trained = trainTokenizer([tinyText(0, 120)], options);
      await saveTokenizer(`${root}/${kind}`, trained);
    }
    await writeTexts(`${root}/text`);
    await use(root, [
      ...["map-vocab", "--target", `${root}/sentencepiece`],
      ...["--source", `${root}/byte-level`],
    ]);
  });
}

async function writeTexts(out: string): Promise<void> {
  const rows = (first: number): TextRow[] =>
    [0, 1, 2].map((block) => ({
      ...{ id: `${first}-${block}`, document: `${first}`, block },
      ...{ last: block === 2, text: tinyText(first + block * 9, 2) },
    }));
  await writeDataset({
    ...{ out, stage: "split", options: {}, schema: datasets.text },
    inputs: { text: new URL(import.meta.url).pathname },
    splits: ["train", "validation"],
  }, ({ split }) => rows(split === "train" ? 0 : 50));
}

Deno.test("pta map-vocab maps every token by every method", async () => {
  await withTokenizers(async (root, args) => {
    const { vocabSize } = await loadTokenizer(`${root}/byte-level`);
    for (const method of Object.keys(methods) as MapMethodName[]) {
      const out = `${root}/${method}`;
      const { settings }: MapMethod = methods[method];
      const corpus = settings.includes("text")
        ? ["--text", `${root}/text`]
        : [];
      const flags = ["--out", out, "--method", method, ...corpus];
      const { lines: [line] } = await call(mapVocab, [...args, ...flags]);
      const { exact, near, none } = line as Record<string, number>;
      assert.equal(exact! + near! + none!, vocabSize, method);
      const mapped = new Set<number>();
      for await (const row of readRows(out, datasets.vocabMappings)) {
        mapped.add(row.sourceId);
      }
      assert.equal(mapped.size, vocabSize);
      const { inputs, options } = await readManifest(out);
      assert.equal("text" in inputs, corpus.length > 0);
      assert.deepEqual(options, { method });
    }
  });
});

Deno.test("pta map-vocab writes down the flags that it heeds, and refuses others", async () => {
  await withTokenizers(async (root, args) => {
    const run = (name: string, ...flags: string[]) =>
      call(mapVocab, [...args, "--out", `${root}/${name}`, ...flags]);
    await run("projection", "--method", "projection", "--top-k", "2");
    const { options } = await readManifest(`${root}/projection`);
    assert.deepEqual(options, { method: "projection", topK: 2 });
    await run("fixed", "--method", "reference", "--reference", "none");
    await run("raw", "--method", "reference", "--reference", "raw-strings");
    const { options: { defects } } = await readManifest(`${root}/raw`);
    assert.deepEqual(defects, {
      "raw-strings": true,
      "specials-by-spelling": false,
      "window-edge": false,
      "last-image": false,
      "rare-first": false,
      "unseen-to-unknown": false,
    });
    await assert.rejects(
      run("deaf", "--top-k", "2"),
      /by min-edit-distance with --top-k: it does not heed it, expected --method statistics or projection/,
    );
    await assert.rejects(
      run("mute", "--method", "statistics"),
      /Cannot map by statistics without a corpus, expected --text/,
    );
    await assert.rejects(
      run("other", "--method", "reference", "--reference", "dtw"),
      /"dtw" is none of the mapping's, expected one of raw-strings, specials/,
    );
  });
});

Deno.test("pta map-vocab writes the same bytes with workers", async () => {
  await withTokenizers(async (root, args) => {
    const written = async (workers: number) => {
      const out = `${root}/${workers}`;
      await call(mapVocab, [...args, "--out", out, "--workers", `${workers}`]);
      return await Deno.readFile(`${out}/data-00000-of-00001.arrow`);
    };
    assert.deepEqual(await written(2), await written(1));
  });
});
