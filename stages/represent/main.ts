import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { integer, string } from "@optique/core/valueparser";
import { resolveModel } from "#/models/mod.ts";
import {
  datasets,
  hashInput,
  type Manifest,
  readManifest,
  readRows,
  type RepresentationRow,
  type Resume,
  writeDataset,
} from "#/shards/mod.ts";
import {
  type Command,
  defineCommand,
  type Report,
  runCommand,
} from "#/stages/command.ts";
import {
  batchTokensFlag,
  modelFlags,
  scorerWorkersFlag,
} from "#/stages/model_flags.ts";
import { Progress } from "#/stages/progress.ts";
import {
  referenceFlag,
  switchedOn,
  switchesOf,
} from "#/stages/reference_switches.ts";
import { openScorerPool } from "#/stages/scorer_pool.ts";
import { tokenizerFiles } from "#/stages/tokenizer_files.ts";
import { loadTokenizer, type Tokenizer } from "#/tokenizers/mod.ts";
import { represent, representDefects } from "./represent.ts";
import { parseShard, shardRange, take } from "./shard.ts";

interface Flags {
  model: string;
  text: string;
  out: string;
  topK: number;
  batchTokens: number;
  shard: string | undefined;
  device: "auto" | "cpu" | "cuda" | "webgpu";
  dtype: "f32" | "f16" | "bf16";
  workers: number | undefined;
  filterNan: boolean;
  reference: readonly string[];
}

/** `pta represent`. */
export const command: Command = defineCommand(
  "represent",
  "Write down what a model predicts at every position of a text",
  object("Represent", {
    ...modelFlags,
    text: option("--text", string({ metavar: "DIR" }), {
      description: message`Blocks that split has written`,
    }),
    out: option("--out", string({ metavar: "DIR" }), {
      description: message`Directory of the representations`,
    }),
    topK: withDefault(
      option("--top-k", integer({ min: 1 }), {
        description: message`Tokens kept of every distribution`,
      }),
      10,
    ),
    ...batchTokensFlag,
    ...scorerWorkersFlag,
    shard: optional(option("--shard", string({ metavar: "I/N" }), {
      description: message`Only part I (from 0) of N parts of like many blocks`,
    })),
    filterNan: withDefault(
      option("--filter-nan", {
        description:
          message`Mark blocks where the model computes NaN, for pack to drop, instead of an error`,
      }),
      false,
    ),
    reference: referenceFlag(representDefects),
  }),
  run,
);

async function run(flags: Flags): Promise<Report> {
  const { text, out, topK, dtype, filterNan } = flags;
  const defects = switchesOf(representDefects, flags.reference);
  const shard = parseShard(flags.shard);
  const directory = await resolveModel(flags.model);
  const from = await readManifest(text);
  const tokenizer = await loadTokenizer(directory);
  const names = Object.keys(from.splits);
  const { manifest, skipped } = await writeDataset(
    {
      out,
      stage: "represent",
      options: {
        ...{ topK, dtype, filterNan, shard: flags.shard ?? "0/1" },
        ...switchedOn(defects),
      },
      inputs: { model: directory, text },
      schema: datasets.representations,
      ...(names.length > 1 && { splits: names }),
      metadata: { tokenizer: await hashInput(tokenizerFiles(directory)) },
    },
    (resume) => produce(resume, { directory, tokenizer }, from, shard, flags),
    (row) => row.inputIds.length,
  );
  return report(out, manifest, skipped);
}

async function* produce(
  { split, rows: done }: Resume,
  { directory, tokenizer }: { directory: string; tokenizer: Tokenizer },
  from: Manifest,
  shard: { index: number; count: number },
  flags: Flags,
): AsyncGenerator<RepresentationRow> {
  const { start, end } = shardRange(from.splits[split]!, shard);
  const left = end - start - done;
  if (left === 0) return;
  const { device, dtype, workers } = flags;
  await using scorer = await openScorerPool(directory, {
    ...{ device, dtype, workers },
    sequences: left,
  });
  const rows = readRows(flags.text, datasets.text, {
    split,
    skip: start + done,
  });
  using bar = new Progress(`represent ${split}`, left, "blocks");
  const began = performance.now();
  let tokens = 0;
  const onBatch = (batchTokens: number, blocks: number) => {
    tokens += batchTokens;
    const rate = tokens / (performance.now() - began) * 1000;
    bar.advance(blocks, `${rate.toPrecision(3)} tokens/s`);
  };
  const model = { tokenizer, scorer };
  const defects = switchesOf(representDefects, flags.reference);
  const { concurrency } = scorer;
  const options = { ...flags, defects, concurrency, onBatch };
  yield* represent(take(rows, left), model, options);
}

function report(out: string, manifest: Manifest, skipped: boolean): Report {
  const { rows, tokens, seconds } = manifest;
  const done = skipped ? "was there already" : `${seconds} s`;
  return {
    text: `${out}: ${rows} blocks, ${tokens} tokens, ${done}`,
    lines: [{ stage: "represent", out, rows, tokens, seconds, skipped }],
  };
}

if (import.meta.main) await runCommand(command);
