import assert from "node:assert/strict";
import { requestDevice } from "#/kernels/mod.ts";
import { saveCheckpoint } from "#/models/mod.ts";
import {
  type AlignedRow,
  datasets,
  hashInput,
  readManifest,
  readRows,
  type RepresentationRow,
  writeDataset,
} from "#/shards/mod.ts";
import type { Evidence } from "#/stages/align/evidence.ts";
import { command as align } from "#/stages/align/main.ts";
import {
  type AlignMethod,
  type AlignMethodName,
  methods,
} from "#/stages/align/methods/mod.ts";
import { call } from "#/stages/command.ts";
import { command as mapVocab } from "#/stages/map_vocab/main.ts";
import { tokenizerFiles } from "#/stages/tokenizer_files.ts";
import { representation } from "#/tests/representations.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { tinyText } from "#/tests/tiny_language.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { saveTokenizer, trainTokenizer } from "#/tools/bpe_trainer.ts";

const TEXTS = Array.from({ length: 12 }, (_, i) => tinyText(i * 7, 2));

/** A model directory's tokenizer, and representations of the texts by it. */
async function makeModel(
  directory: string,
  kind: "byte-level" | "sentencepiece",
): Promise<void> {
  const options = { kind, vocabSize: 300 };
  await saveTokenizer(directory, trainTokenizer([tinyText(0, 120)], options));
  const tokenizer = await loadTokenizer(directory);
  const random = mulberry32(kind.length);
  const rows = TEXTS.map((text) =>
    representation(tokenizer, text, () => {
      const ids = new Set(
        Array.from({ length: 4 }, () => 4 + Math.floor(random() * 290)),
      );
      return [...ids].map((id, k) => [id, -1 - k] as const);
    }, 4)
  );
  await writeRepresentations(directory, rows);
}

async function writeRepresentations(
  directory: string,
  rows: readonly RepresentationRow[],
  rowsPerShard = Infinity,
): Promise<void> {
  const out = `${directory}/representations`;
  const metadata = { tokenizer: await hashInput(tokenizerFiles(directory)) };
  const inputs = { text: new URL(import.meta.url).pathname };
  const schema = datasets.representations;
  await writeDataset(
    {
      ...{ out, stage: "represent", options: {}, inputs, schema, metadata },
      rowsPerShard,
    },
    ({ rows: done }) => rows.slice(done),
  );
}

async function withModels(
  use: (root: string, args: string[]) => Promise<void>,
): Promise<void> {
  await inTemporaryDirectory(async (root) => {
    const [target, source] = [`${root}/target`, `${root}/source`];
    await makeModel(target, "sentencepiece");
    await makeModel(source, "byte-level");
    const models = ["--target", target, "--source", source];
    const mapping = `${root}/mapping`;
    await call(mapVocab, ["map-vocab", ...models, "--out", mapping]);
    await use(root, [
      ...["align", ...models, "--vocab-mapping", mapping],
      ...["--target-representations", `${target}/representations`],
      ...["--source-representations", `${source}/representations`],
    ]);
  });
}

function read(directory: string): Promise<AlignedRow[]> {
  return Array.fromAsync(readRows(directory, datasets.aligned));
}

Deno.test("pta map-vocab and pta align write a row per block, and nothing twice", async () => {
  await withModels(async (root, args) => {
    const out = `${root}/aligned`;
    const { lines: [first] } = await call(align, [...args, "--out", out]);
    const rows = await read(out);
    assert.deepEqual(rows.map(({ id }) => id), TEXTS);
    const paired = rows.flatMap(({ weight }) => [...weight]);
    assert.ok(paired.filter((w) => w === 1).length > paired.length / 3);
    const tokens = paired.length;
    const { evidence } = (await readManifest(out)).metadata!;
    assert.deepEqual(first, {
      ...{ stage: "align", out, rows: TEXTS.length, tokens, evidence },
      ...{ method: "optimal-transport", skipped: false },
    });
    const { lines: [again] } = await call(align, [...args, "--out", out]);
    assert.deepEqual(again, { ...first, skipped: true });
    await assert.rejects(
      call(align, [...args, "--out", out, "--epsilon", "0.1"]),
      /options.epsilon/,
    );
  });
});

const device = await requestDevice();
device?.destroy();

Deno.test(
  { name: "pta align gives the same on WebGPU", ignore: !device },
  async () => {
    await withModels(async (root, args) => {
      const [gpu, cpu] = [`${root}/gpu`, `${root}/cpu`];
      await call(align, [...args, "--out", gpu, "--device", "webgpu"]);
      await call(align, [...args, "--out", cpu, "--device", "cpu"]);
      const [actual, expected] = [await read(gpu), await read(cpu)];
      actual.forEach((row, i) => {
        assert.deepEqual(row.weight, expected[i]!.weight);
        row.topkLogprobs.forEach((logprob, k) => {
          const other = expected[i]!.topkLogprobs[k]!;
          // f16 on disk: neighbours where f32 and f64 round apart.
          assert.ok(
            logprob === other || Math.abs(logprob / other - 1) < 2 ** -9,
            `${logprob} for ${other}`,
          );
        });
      });
    });
  },
);

/** Lets both models speak about many blocks, in shards of which the last is short. */
async function repeatBlocks(
  root: string,
  counts: { target: number; source: number },
  idOf: (model: "target" | "source", k: number) => string = (_, k) =>
    `block ${k}`,
): Promise<void> {
  for (const model of ["target", "source"] as const) {
    const directory = `${root}/${model}`;
    const rows = await Array.fromAsync(
      readRows(`${directory}/representations`, datasets.representations),
    );
    const many = Array.from({ length: counts[model] }, (_, k) => ({
      ...rows[k % rows.length]!,
      id: idOf(model, k),
    }));
    await Deno.remove(`${directory}/representations`, { recursive: true });
    // Batches of the two do not end together.
    const rowsPerShard = model === "target" ? 37 : 23;
    await writeRepresentations(directory, many, rowsPerShard);
  }
}

/** Every shard of a dataset. */
function shardsOf(directory: string): string[] {
  return Array.from(Deno.readDirSync(directory), ({ name }) => name)
    .filter((name) => name.endsWith(".arrow")).sort()
    .map((name) => Deno.readFileSync(`${directory}/${name}`).toHex());
}

Deno.test("pta align leaves the same bytes in any number of workers", async () => {
  await withModels(async (root, args) => {
    // Enough blocks for workers to start, and for each to have several ranges.
    await repeatBlocks(root, { target: 240, source: 240 });
    const evidence: unknown[] = [];
    const all: AlignedRow[][] = [];
    const bytes: string[][] = [];
    for (const workers of ["1", "3"]) {
      const out = `${root}/by-${workers}`;
      const flags = ["--out", out, "--workers", workers, "--device", "cpu"];
      await call(align, [...args, ...flags]);
      evidence.push((await readManifest(out)).metadata!.evidence);
      all.push(await read(out));
      bytes.push(shardsOf(out));
      assert.ok(
        [...Deno.readDirSync(out)].every(({ name }) =>
          !name.startsWith("evidence")
        ),
      );
    }
    assert.deepEqual(bytes[1], bytes[0]);
    assert.deepEqual(evidence[1], evidence[0]);
    assert.deepEqual(
      all[0]!.map(({ id }) => id),
      Array.from({ length: 240 }, (_, k) => `block ${k}`),
    );
  });
});

Deno.test("pta align aligns every split, in whichever workers", async () => {
  await withModels(async (root, args) => {
    const sizes: Record<string, number> = { train: 40, validation: 20 };
    for (const model of ["target", "source"] as const) {
      const directory = `${root}/${model}`;
      const out = `${directory}/representations`;
      const rows = await Array.fromAsync(
        readRows(out, datasets.representations),
      );
      await Deno.remove(out, { recursive: true });
      const metadata = {
        tokenizer: await hashInput(tokenizerFiles(directory)),
      };
      const schema = datasets.representations;
      const plan = { out, stage: "represent", options: {}, inputs: {}, schema };
      await writeDataset(
        { ...plan, metadata, splits: Object.keys(sizes), rowsPerShard: 7 },
        ({ split }) =>
          Array.from({ length: sizes[split]! }, (_, k) => ({
            ...rows[k % rows.length]!,
            id: `${split} ${k}`,
          })),
      );
    }
    const out = `${root}/aligned`;
    const flags = ["--workers", "2", "--device", "cpu"];
    await call(align, [...args, "--out", out, ...flags]);
    assert.deepEqual((await readManifest(out)).splits, sizes);
    for (const [split, length] of Object.entries(sizes)) {
      const rows = await Array.fromAsync(
        readRows(out, datasets.aligned, { split }),
      );
      assert.deepEqual(
        rows.map(({ id }) => id),
        Array.from({ length }, (_, k) => `${split} ${k}`),
      );
      assert.ok(rows.every(({ weight }) => weight.includes(1)));
    }
  });
});

Deno.test("pta align goes on in the middle of a batch", async () => {
  await withModels(async (root, args) => {
    await repeatBlocks(root, { target: 100, source: 100 });
    const [whole, resumed] = [`${root}/whole`, `${root}/resumed`];
    await call(align, [...args, "--out", whole, "--device", "cpu"]);
    const rows = await read(whole);
    // What a run that was killed leaves: the first shard, and what it is part of.
    const { stage, options, inputs } = await readManifest(whole);
    const schema = datasets.aligned;
    await writeDataset(
      { out: `${root}/part`, stage, options, inputs: {}, schema },
      () => rows.slice(0, 50),
    );
    await Deno.mkdir(resumed);
    await Deno.writeTextFile(
      `${resumed}/partial.json`,
      JSON.stringify({ stage, options, inputs }),
    );
    await Deno.copyFile(
      `${root}/part/data-00000-of-00001.arrow`,
      `${resumed}/data-00000.arrow`,
    );
    await call(align, [...args, "--out", resumed, "--device", "cpu"]);
    assert.deepEqual(await read(resumed), rows);
    assert.equal(shardsOf(resumed).length, 2);
  });
});

Deno.test("pta align names the row at which the datasets part, in whichever worker", async () => {
  const refuses = (
    counts: { target: number; source: number },
    expected: RegExp,
    idOf?: Parameters<typeof repeatBlocks>[2],
  ) =>
    withModels(async (root, args) => {
      await repeatBlocks(root, counts, idOf);
      const out = `${root}/aligned`;
      await assert.rejects(
        call(align, [...args, "--out", out, "--device", "cpu"]),
        expected,
      );
      // What is left is no dataset.
      await assert.rejects(readManifest(out), /not complete/);
    });
  await refuses(
    { target: 100, source: 90 },
    /^RangeError: Cannot align row 90: the source's representations end there/,
  );
  await refuses(
    { target: 90, source: 100 },
    /^RangeError: Cannot align row 90: the source's is block block 90, expected none/,
  );
  await refuses(
    { target: 100, source: 100 },
    /^RangeError: Cannot align row 77: the source's is block other, expected block 77/,
    (model, k) => model === "source" && k === 77 ? "other" : `block ${k}`,
  );
});

Deno.test("pta align refuses a mapping of other tokenizers", async () => {
  await withModels(async (root, args) => {
    const swapped = `${root}/swapped`;
    const models = ["--target", `${root}/source`, "--source", `${root}/target`];
    await call(mapVocab, ["map-vocab", ...models, "--out", swapped]);
    const other = args.map((arg) => arg === `${root}/mapping` ? swapped : arg);
    await assert.rejects(
      call(align, [...other, "--out", `${root}/aligned`]),
      /Cannot align with the vocabulary mapping .*: its target is another/,
    );
  });
});

Deno.test("pta align refuses representations by other tokenizers", async () => {
  await withModels(async (root, args) => {
    const swapped = args.map((arg) =>
      arg === `${root}/source/representations`
        ? `${root}/target/representations`
        : arg
    );
    await assert.rejects(
      call(align, [...swapped, "--out", `${root}/aligned`]),
      /Cannot align the source's representations .*target.* another tokenizer/,
    );
  });
});

/** What every method of the table makes of the same representations. */
async function alignByAll(
  root: string,
  args: string[],
): Promise<Map<AlignMethodName, { rows: AlignedRow[]; evidence: Evidence }>> {
  const all = new Map();
  for (const method of Object.keys(methods) as AlignMethodName[]) {
    const out = `${root}/${method}`;
    const flags = ["--out", out, "--method", method, "--top-k", "4"];
    await call(align, [...args, ...flags, "--device", "cpu"]);
    const { metadata } = await readManifest(out);
    all.set(method, { rows: await read(out), evidence: metadata!.evidence });
  }
  return all;
}

Deno.test("pta align tells for every method what it kept and lost", async () => {
  await withModels(async (root, args) => {
    for (const [method, { rows, evidence }] of await alignByAll(root, args)) {
      const facts: AlignMethod = methods[method];
      const labelled = rows.reduce(
        (sum, row) => sum + row.weight.length - 1,
        0,
      );
      const taught = rows.reduce(
        (sum, row) => sum + row.weight.filter((w) => w > 0).length,
        0,
      );
      assert.equal(evidence.labelledRows, labelled, method);
      assert.equal(evidence.taught, taught / labelled, method);
      const { paired, fallback, massLost, exactMass } = evidence;
      assert.ok(paired > 1 / 3 && exactMass > 0 && exactMass < 1, method);
      if (facts.corrected && "pairs" in facts) {
        assert.ok(massLost > -1e-3 && massLost <= 1, method);
        assert.equal(fallback, 1 - taught / labelled);
        assert.ok(taught / labelled <= paired);
      } else if (method.startsWith("reference")) {
        // One-hots where nothing faces, and top k that are taken for the whole.
        assert.ok(fallback > 1 - taught / labelled, method);
        assert.ok(massLost < 0, method);
      }
    }
  });
});

Deno.test("pta align reproduces the defects that --reference names", async () => {
  await withModels(async (root, args) => {
    const by = async (name: string, ...flags: string[]) => {
      const out = `${root}/${name}`;
      await call(align, [...args, "--out", out, ...flags]);
      return await read(out);
    };
    const method = ["--method", "reference-soft"];
    const published = await by("published", ...method);
    const fixed = await by("fixed", ...method, "--reference", "none");
    const one = await by("one", ...method, "--reference", "dtw,current-token");
    const taught = (rows: AlignedRow[]) =>
      rows.map(({ weight }) => weight.filter((w) => w > 0).length);
    // Every row of the text learns something, if only itself.
    assert.deepEqual(taught(one), taught(published));
    assert.notDeepEqual(taught(fixed), taught(published));
    assert.notDeepEqual(one, published);
    await assert.rejects(
      by("wrong", ...method, "--reference", "dwt"),
      /"dwt" is none, expected one of dtw, markerless-dtw/,
    );
    await assert.rejects(
      by("deaf", "--reference", "dtw"),
      /by optimal-transport with --reference: .* --method reference-hard or/,
    );
    await assert.rejects(
      by("deaf", ...method, "--cost", "first-piece"),
      /heed/,
    );
  });
});

Deno.test("pta align transports at the cost that --cost names", async () => {
  await withModels(async (root, args) => {
    const [edits, prefixes] = [`${root}/edits`, `${root}/prefixes`];
    await call(align, [...args, "--out", edits]);
    await call(align, [...args, "--out", prefixes, "--cost", "prefix-overlap"]);
    assert.notDeepEqual(await read(edits), await read(prefixes));
    const { options } = await readManifest(prefixes);
    assert.equal(options.cost, "prefix-overlap");
  });
});

Deno.test("pta align reads the target's embeddings where the cost needs them", async () => {
  await withModels(async (root, args) => {
    const run = (out: string) =>
      call(align, [...args, "--out", out, "--cost", "embedding"]);
    const [one, other] = [`${root}/one`, `${root}/other`];
    await writeEmbeddings(`${root}/target`, 1);
    await run(one);
    await writeEmbeddings(`${root}/target`, 2);
    await run(other);
    assert.notDeepEqual(await read(one), await read(other));
    const { inputs } = await readManifest(one);
    assert.ok(inputs.embeddings);
    await assert.rejects(run(one), /inputs.embeddings/);
    await writeEmbeddings(`${root}/target`, 3, "lm_head.weight");
    await assert.rejects(
      run(`${root}/none`),
      /Cannot read embeddings of .* it has no weight embed_tokens, wte or/,
    );
  });
});

async function writeEmbeddings(
  directory: string,
  seed: number,
  name = "model.embed_tokens.weight",
): Promise<void> {
  const random = mulberry32(seed);
  const shape = [320, 3];
  const data = Float32Array.from({ length: 960 }, () => random() - 0.5);
  const config = { model_type: "llama", vocab_size: 320 };
  const sizes = { max_position_embeddings: 64 };
  const weights = new Map([[name, { shape, data }]]);
  await saveCheckpoint(directory, { ...config, ...sizes }, weights);
}
