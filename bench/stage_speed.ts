import { type CommandCost, costOfCommand } from "#/bench/command_cost.ts";
import type { Comparison, PeerBench } from "#/bench/comparison.ts";
import { LLAMAS, writeLlama } from "#/bench/sample_llama.ts";
import { blocks, chapters, countedRepresentations } from "#/bench/texts.ts";
import {
  type AlignedRow,
  datasets,
  type RepresentationRow,
  type TextRow,
  writeDataset,
} from "#/shards/mod.ts";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";

/** A stage with the work it is given. */
interface StageRun {
  /** What it does. */
  work: string;
  /** Its flags, but for `--out` and `--workers`. */
  flags: readonly string[];
  /** How much there is to do, and of what. */
  amount: number;
  of: string;
}

const ROUNDS = 2;
const program = new URL("../cli.ts", import.meta.url).pathname;
const inputs = { text: new URL(import.meta.url).pathname };

/** Stages as commands, with one worker and with two: what overlapping gains. */
export const stageSpeedBench: PeerBench = {
  name: "stages",
  async run() {
    const lines: Comparison[] = [];
    await inTemporaryDirectory(async (root) => {
      for (const stage of await stageRuns(root)) {
        const [one, two] = await bestOf(stage, `${root}/out`);
        lines.push({
          work: `${stage.work}, two workers`,
          ours: shown(two!, stage),
          peer: `one worker: ${shown(one!, stage)}`,
          ratio: one!.seconds / two!.seconds,
          goal: "",
        });
      }
    });
    return lines;
  },
};

async function stageRuns(root: string): Promise<StageRun[]> {
  const [target, gpt2, qwen3] = await Promise.all(
    (["llama2", "gpt2", "qwen3"] as const).map(realTokenizer),
  );
  const models = (source: string) => ["--target", target!, "--source", source];
  const text = (await chapters()).map((text) => JSON.stringify({ text }));
  await Deno.writeTextFile(`${root}/text.jsonl`, text.join("\n"));
  await writeLlama(`${root}/model`, { ...LLAMAS["1.8 M"], vocab_size: 32_000 });
  const packed = await writePackInputs(root, target!);
  const represented = await writeBlocks(`${root}/blocks`, target!);
  return [
    {
      work: "split, 32k and 50k tokens, the novel",
      flags: ["split", ...models(gpt2!), "--text", `${root}/text.jsonl`],
      ...{ amount: text.join("\n").length / 1e6, of: "MB" },
    },
    {
      work: "represent, a Llama of 1.8 M beside its embeddings, V = 32,000",
      flags: [
        ...["represent", "--model", `${root}/model`, "--device", "cpu"],
        ...["--text", `${root}/blocks`],
      ],
      ...{ amount: represented, of: "tokens" },
    },
    {
      work: "map-vocab, 32,000 ← 50,257",
      flags: ["map-vocab", ...models(gpt2!)],
      ...{ amount: 50_257, of: "tokens" },
    },
    {
      work: "map-vocab, 32,000 ← 151,669",
      flags: ["map-vocab", ...models(qwen3!)],
      ...{ amount: 151_669, of: "tokens" },
    },
    {
      work: "pack, a target and a source, top-10",
      flags: [
        ...["pack", "--target-representations", `${root}/target`],
        ...["--aligned", `${root}/aligned`, "--length", "4096"],
      ],
      ...{ amount: packed, of: "tokens" },
    },
  ];
}

/** The cheapest of several runs each, in turn. */
async function bestOf(
  { flags }: StageRun,
  out: string,
): Promise<CommandCost[]> {
  const best: CommandCost[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, workers] of [1, 2].entries()) {
      const cost = await costOfCommand([
        ...["run", "-A", "-q", program, ...flags],
        ...["--out", out, "--workers", `${workers}`],
      ]);
      await Deno.remove(out, { recursive: true });
      if (!(best[at]?.seconds! < cost.seconds)) best[at] = cost;
    }
  }
  return best;
}

function shown(
  { seconds, cpuSeconds }: CommandCost,
  { amount, of }: StageRun,
): string {
  const rate = Number((amount / seconds).toPrecision(3)).toLocaleString("en");
  const busy = (cpuSeconds / seconds).toFixed(2);
  return `${seconds.toPrecision(3)} s, ${busy} cores busy, ${rate} ${of}/s`;
}

/** About three million tokens, represented and aligned; returns how many. */
async function writePackInputs(root: string, directory: string) {
  const tokenizer = await loadTokenizer(directory);
  const rows = countedRepresentations(tokenizer, await blocks(7600, 32), 10);
  const target = Array.from(
    { length: 48 },
    (_, copy) =>
      rows.map((row): RepresentationRow => ({
        ...row,
        id: `${row.id}, copy ${copy}`,
      })),
  ).flat();
  const { representations, aligned } = datasets;
  await writeDataset(
    {
      ...{ out: `${root}/target`, stage: "represent", options: {}, inputs },
      schema: representations,
    },
    ({ rows }) => target.slice(rows),
  );
  await writeDataset(
    {
      ...{ out: `${root}/aligned`, stage: "align", options: {}, inputs },
      ...{ schema: aligned, metadata: { source: "source" } },
    },
    ({ rows }) => target.slice(rows).map(asAligned),
  );
  return target.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
}

function asAligned(
  { id, topK, topkIds, topkLogprobs, labelLogprobs, bitsPerByte, inputIds }:
    RepresentationRow,
): AlignedRow {
  return {
    ...{ id, topK, topkIds, topkLogprobs, labelLogprobs, bitsPerByte },
    weight: new Float32Array(inputIds.length).fill(1),
    marginalError: new Float32Array(inputIds.length),
  };
}

/** Blocks of lengths from a few tokens to about 1024; returns their tokens. */
async function writeBlocks(out: string, directory: string): Promise<number> {
  const tokenizer = await loadTokenizer(directory);
  const texts = await blocks(4000, 120);
  const rows = texts.map((text, block): TextRow => ({
    ...{ id: `block ${block}`, document: `block ${block}`, block: 0 },
    ...{ last: false, text: text.slice(0, 100 * (1 + block % 40)) },
  }));
  await writeDataset(
    { out, stage: "split", options: {}, inputs, schema: datasets.text },
    ({ rows: done }) => rows.slice(done),
  );
  return rows.reduce(
    (sum, { text }) => sum + 1 + tokenizer.encode(text).ids.length,
    0,
  );
}
