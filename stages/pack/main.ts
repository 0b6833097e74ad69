import { basename, resolve } from "node:path";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { integer, string } from "@optique/core/valueparser";
import {
  datasets,
  hashInput,
  type PackedRow,
  readManifest,
  writeDataset,
} from "#/shards/mod.ts";
import {
  type Command,
  defineCommand,
  list,
  type Report,
  runCommand,
} from "#/stages/command.ts";
import { TARGET } from "#/stages/pack/join_blocks.ts";
import { type PackCounts, packDefects } from "#/stages/pack/pack.ts";
import { packDatasets } from "#/stages/pack/pack_datasets.ts";
import { packInWorker } from "#/stages/pack/pack_in_worker.ts";
import { Progress } from "#/stages/progress.ts";
import {
  referenceFlag,
  switchedOn,
  switchesOf,
} from "#/stages/reference_switches.ts";

const directory = string({ metavar: "DIR" });

const flags = object("Pack", {
  representations: option("--target-representations", directory, {
    description: message`The target's representations`,
  }),
  aligned: list(
    option("--aligned", directory, {
      description: message`Aligned rows of a source`,
    }),
    0,
  ),
  out: option("--out", directory, {
    description: message`Where the packed rows go`,
  }),
  length: withDefault(
    option("--length", integer({ min: 2, metavar: "N" }), {
      description: message`Positions of a row`,
    }),
    2048,
  ),
  sourceRepresentations: list(
    option("--source-representations", directory, {
      description:
        message`Representations of every source, in any order, to keep what train --reference loss-per-token asks for`,
    }),
    0,
  ),
  filterNan: withDefault(
    option("--filter-nan", {
      description: message`Leave out blocks with a NaN instead of failing`,
    }),
    false,
  ),
  workers: optional(option("--workers", integer({ min: 1 }), {
    description:
      message`Threads; of two, one reads and packs and one writes; the result is the same (default: 2 for more than a million tokens, else 1)`,
  })),
  reference: referenceFlag(packDefects),
});

/** `pta pack`: blocks of the target and its sources → training rows. */
export const command: Command = defineCommand(
  "pack",
  "Pack blocks and what their teachers say about them into training rows",
  flags,
  run,
);

interface Flags {
  representations: string;
  aligned: readonly string[];
  out: string;
  length: number;
  filterNan: boolean;
  sourceRepresentations: readonly string[];
  workers: number | undefined;
  reference: readonly string[];
}

/** Fewer are packed before a worker has started. */
const WORKER_TOKENS = 1e6;

async function run(
  { representations, aligned, out, length, filterNan, ...flags }: Flags,
): Promise<Report> {
  const defects = switchesOf(packDefects, flags.reference);
  const { splits, tokens } = await readManifest(representations);
  const sources = await sourceNames(aligned);
  const measured = await ownRepresentations(
    sources,
    flags.sourceRepresentations,
  );
  if (defects["f16-metrics"] && measured.size === 0) {
    throw new RangeError(
      "Cannot pack with --reference f16-metrics: no losses per token are kept, " +
        "expected --source-representations",
    );
  }
  const sourceTokens = await ownVocabularies(sources);
  const workers = flags.workers ?? (tokens > WORKER_TOKENS ? 2 : 1);
  const packOf = workers > 1 ? packInWorker : packDatasets;
  const counts: Record<string, PackCounts> = {};
  const teachers: Record<string, number> = {};
  const { manifest, skipped } = await writeDataset({
    out,
    stage: "pack",
    options: {
      ...{ length, filterNan, teachers: [TARGET, ...sources.keys()] },
      ...measured.size > 0 && { natsPerToken: true },
      ...switchedOn(defects),
    },
    inputs: {
      representations,
      ...Object.fromEntries(sources),
    },
    schema: datasets.packed([TARGET, ...sources.keys()]),
    ...(Object.keys(splits).join() !== "train" && {
      splits: Object.keys(splits),
    }),
    metadata: () => ({
      length,
      teachers,
      ...Object.keys(sourceTokens).length > 0 && { sourceTokens },
      ...totals(counts),
    }),
  }, ({ rows, split }) => {
    const inputs = { representations, aligned: sources, measured, split };
    const count = counts[split] = { blocks: 0, dropped: 0, bytes: 0 };
    const packed = packOf(inputs, { length, filterNan, defects }, count);
    const shown = withProgress(packed, count, splits[split]!);
    return withoutFirst(rows, shown, teachers);
  }, tokensOf);
  const { blocks, dropped } = manifest.metadata as unknown as PackCounts;
  return {
    text: `${out}: ${blocks} blocks, ${manifest.tokens} tokens in ` +
      `${manifest.rows} rows of ${length}` +
      (dropped ? `, ${dropped} blocks with a NaN left out` : "") +
      (skipped ? " (complete already)" : ""),
    lines: [{
      out,
      rows: manifest.rows,
      tokens: manifest.tokens,
      blocks,
      dropped,
      skipped,
    }],
  };
}

/** Sources by name, in the order given: what `align` calls them, else the directory's name. */
async function sourceNames(
  directories: readonly string[],
): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  for (const directory of directories) {
    const { metadata } = await readManifest(directory);
    const name = typeof metadata?.source === "string"
      ? metadata.source
      : basename(resolve(directory));
    const other = name === TARGET
      ? "the target's own distributions"
      : sources.get(name);
    if (other) {
      throw new RangeError(
        `Cannot pack ${directory}: its source is called ${name}, expected ` +
          `another name than that of ${other}`,
      );
    }
    sources.set(name, directory);
  }
  return sources;
}

/** The representations that each source has been aligned from, if any are given. */
async function ownRepresentations(
  sources: ReadonlyMap<string, string>,
  given: readonly string[],
): Promise<Map<string, string>> {
  const own = new Map<string, string>();
  if (given.length === 0) return own;
  const byHash = new Map<string, string>();
  for (const directory of given) {
    byHash.set(await hashInput(directory), directory);
  }
  for (const [name, aligned] of sources) {
    const { inputs } = await readManifest(aligned);
    const directory = byHash.get(inputs.sourceRepresentations ?? "");
    if (directory === undefined) {
      throw new RangeError(
        `Cannot pack ${aligned}: the representations of ${name} that it was ` +
          `aligned from are not among ${given.join(", ")}, expected those of ` +
          "every source (--source-representations)",
      );
    }
    own.set(name, directory);
  }
  return own;
}

/** Sources whose tokens are their own, not the target's, with their vocabularies. */
async function ownVocabularies(
  sources: ReadonlyMap<string, string>,
): Promise<Record<string, { vocabSize: number; tokenizer: string }>> {
  const own: Record<string, { vocabSize: number; tokenizer: string }> = {};
  for (const [name, directory] of sources) {
    const { metadata, inputs } = await readManifest(directory);
    const vocabSize = metadata?.sourceTokens;
    if (typeof vocabSize !== "number") continue;
    own[name] = { vocabSize, tokenizer: inputs.source! };
  }
  return own;
}

async function* withProgress(
  rows: AsyncIterable<PackedRow>,
  counts: PackCounts,
  total: number,
): AsyncGenerator<PackedRow> {
  using progress = new Progress("pack", total, "blocks");
  let shown = 0;
  const show = () => {
    const done = counts.blocks + counts.dropped;
    progress.advance(done - shown);
    shown = done;
  };
  for await (const row of rows) {
    show();
    yield row;
  }
  show();
}

/** Which block lands where depends on all before it, so a resumed run packs them again. */
async function* withoutFirst(
  count: number,
  rows: AsyncIterable<PackedRow>,
  teachers: Record<string, number>,
): AsyncGenerator<PackedRow> {
  for await (const row of rows) {
    for (const [name, { topK }] of Object.entries(row.teachers)) {
      teachers[name] = topK;
    }
    if (count-- <= 0) yield row;
  }
}

function totals(counts: Record<string, PackCounts>) {
  const splits = Object.entries(counts);
  return {
    blocks: splits.reduce((sum, [, { blocks }]) => sum + blocks, 0),
    dropped: splits.reduce((sum, [, { dropped }]) => sum + dropped, 0),
    bytes: Object.fromEntries(
      splits.map(([split, { bytes }]) => [split, bytes]),
    ),
  };
}

function tokensOf({ document }: PackedRow): number {
  return document.reduce((sum, id) => sum + (id >= 0 ? 1 : 0), 0);
}

if (import.meta.main) await runCommand(command);
