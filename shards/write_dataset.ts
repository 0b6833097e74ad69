import { existsSync } from "node:fs";
import { join } from "node:path";
import { canonicalJson, plain } from "#/shards/canonical_json.ts";
import type { Compression } from "#/shards/compression.ts";
import { hashInput } from "#/shards/hash_input.ts";
import {
  attempt,
  ONLY_SPLIT,
  parseShardName,
  removeIfThere,
  writeJson,
} from "#/shards/layout.ts";
import {
  differences,
  type Identity,
  type Manifest,
  normalized,
  parseManifest,
  versions,
} from "#/shards/manifest.ts";
import type { EncodedRows } from "#/shards/row_encoder.ts";
import type { DatasetSchema } from "#/shards/schemas.ts";
import { SplitWriter } from "#/shards/split_writer.ts";

/** What to write, and where. */
export interface DatasetPlan<Row> {
  /** The directory to write. */
  out: string;
  /** Name of the stage. */
  stage: string;
  /** Everything that decides the content, other than the inputs. */
  options: Record<string, unknown>;
  /** What the stage reads, by name: a path, or several that belong together. */
  inputs: Record<string, string | readonly string[]>;
  /** What the rows are. */
  schema: DatasetSchema<Row>;
  /** Names of the splits, in the order they are produced. Defaults to none. */
  splits?: readonly string[];
  /** Rows of a shard at most. Defaults to no limit but the bytes. */
  rowsPerShard?: number;
  /** Bytes after which a shard ends. Defaults to 64 MiB. */
  bytesPerShard?: number;
  /** How buffers lie in a shard; to readers it is all the same. Defaults to `zstd`. */
  compression?: Compression;
  /** For the manifest; a function is called when all rows are written. */
  metadata?: Record<string, unknown> | (() => Record<string, unknown>);
}

/** Where to go on. */
export interface Resume {
  /** Rows of the split that are there: produce from this one on. */
  rows: number;
  /** The split; `train` where there are no splits. */
  split: string;
}

/**
 * The rows of a split, from row `resume.rows` on, one by one or encoded; encoded
 * ones stay together, and a shard ends behind them.
 */
export type Produce<Row> = (
  resume: Resume,
) => AsyncIterable<Row | EncodedRows> | Iterable<Row | EncodedRows>;

/** What became of a dataset. */
export interface WrittenDataset {
  /** Its manifest. */
  manifest: Manifest;
  /** Whether it was complete already, so that nothing was done. */
  skipped: boolean;
}

/**
 * Write a dataset, or what is missing of it.
 *
 * While it is written, `partial.json` holds stage, options and input hashes,
 * and complete shards are called `data-00003.arrow`; an unfinished one ends in
 * `.tmp`. When a split ends, its shards become `data-00003-of-00007.arrow`; when
 * all have ended, `manifest.json` is written and `partial.json` removed. A run
 * that is killed at any moment goes on behind its last complete shard, and ends
 * with the shards of a run that was not killed.
 *
 * @param plan What to write, and where.
 * @param produce See {@linkcode Produce}; where all rows are there, it is called
 * only if `plan.metadata` is a function.
 * @param tokensOf Tokens of a row, for the manifest. Defaults to none.
 * @returns The manifest, and whether the dataset was there already.
 * @throws {Error} If the directory holds something else: other options, other
 * inputs, another stage; or a file cannot be written.
 */
export async function writeDataset<Row>(
  plan: DatasetPlan<Row>,
  produce: Produce<Row>,
  tokensOf: (row: Row) => number = () => 0,
): Promise<WrittenDataset> {
  const start = performance.now();
  const identity = await identityOf(plan);
  const complete = completeDataset(plan.out, identity);
  if (complete) return { manifest: complete, skipped: true };

  using _claim = claim(plan.out, identity);
  const splits: Record<string, number> = {};
  let tokens = 0;
  for (const split of plan.splits ?? [ONLY_SPLIT]) {
    const directory = plan.splits ? join(plan.out, split) : plan.out;
    const writer = new SplitWriter(directory, plan.schema, tokensOf, {
      rowsPerShard: plan.rowsPerShard ?? Infinity,
      bytesPerShard: plan.bytesPerShard ?? 64 * 2 ** 20,
      compression: plan.compression ?? "zstd",
    });
    if (!writer.ended || typeof plan.metadata === "function") {
      await fill(writer, split, produce);
    }
    writer.finish(split, canonicalJson(identity));
    splits[split] = writer.rows;
    tokens += writer.tokens;
  }
  if (plan.splits) {
    writeJson(join(plan.out, "dataset_dict.json"), { splits: plan.splits });
  }
  const metadata = typeof plan.metadata === "function"
    ? plan.metadata()
    : plan.metadata;
  const manifest: Manifest = {
    ...identity,
    rows: Object.values(splits).reduce((sum, rows) => sum + rows, 0),
    tokens,
    seconds: Math.round(performance.now() - start) / 1000,
    versions: versions(),
    ...(metadata && { metadata: plain(metadata) as typeof metadata }),
    splits,
  };
  writeJson(join(plan.out, "manifest.json"), manifest);
  removeIfThere(join(plan.out, "partial.json"));
  return { manifest, skipped: false };
}

async function identityOf<Row>(plan: DatasetPlan<Row>): Promise<Identity> {
  const { stage, options } = plan;
  const inputs: Record<string, string> = {};
  for (const [name, paths] of Object.entries(plan.inputs)) {
    inputs[name] = await hashInput(paths);
  }
  return normalized({ stage, options, inputs });
}

async function fill<Row>(
  writer: SplitWriter<Row>,
  split: string,
  produce: Produce<Row>,
): Promise<void> {
  try {
    for await (const row of produce({ rows: writer.rows, split })) {
      writer.append(row);
    }
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

/** The manifest of a complete dataset, if it is the one asked for. */
function completeDataset(out: string, wanted: Identity): Manifest | undefined {
  const path = join(out, "manifest.json");
  if (!existsSync(path)) return undefined;
  const found = parseManifest(path, Deno.readTextFileSync(path));
  refuseOther(out, "a complete dataset", found, wanted);
  return found;
}

/**
 * Takes the directory for this run: creates it, remembers what is being
 * written, and locks out a second process. The lock ends with the process.
 * What another plan began is no obstacle while it has no complete shard.
 */
function claim(out: string, identity: Identity): Disposable {
  const path = join(out, "partial.json");
  if (existsSync(out) && !Deno.statSync(out).isDirectory) {
    throw new Error(
      `Cannot write dataset ${out}: it is a file, expected a directory or nothing`,
    );
  }
  attempt(`dataset ${out}`, () => Deno.mkdirSync(out, { recursive: true }));
  if (!existsSync(path)) {
    refuseForeignShards(out);
    writeJson(path, identity);
  }
  const file = attempt(path, () => Deno.openSync(path, { write: true }));
  if (!file.tryLockSync(true)) {
    file.close();
    throw new Error(
      `Cannot write dataset ${out}: another process is writing it`,
    );
  }
  const found = parseManifest(path, Deno.readTextFileSync(path));
  if (differences(found, identity).length === 0) return file;
  using _lock = file;
  if (hasShards(out)) {
    refuseOther(out, "an unfinished dataset", found, identity);
  }
  attempt(path, () => Deno.removeSync(path));
  return claim(out, identity);
}

/** Whether a directory, or that of a split in it, holds a complete shard. */
function hasShards(directory: string): boolean {
  return Array.from(Deno.readDirSync(directory)).some((entry) =>
    entry.isDirectory
      ? hasShards(join(directory, entry.name))
      : parseShardName(entry.name) !== undefined
  );
}

function refuseOther(
  out: string,
  what: string,
  found: Identity,
  wanted: Identity,
): void {
  const reasons = differences(found, wanted);
  if (reasons.length === 0) return;
  throw new Error(
    `Cannot write dataset ${out}: it holds ${what} whose ` +
      `${reasons.join(", ")}: give another --out, or delete it`,
  );
}

function refuseForeignShards(out: string): void {
  for (const { name } of Deno.readDirSync(out)) {
    if (!parseShardName(name) && name !== "dataset_dict.json") continue;
    throw new Error(
      `Cannot write dataset ${out}: it holds ${name} of a run that left no ` +
        `manifest.json or partial.json: give another --out, or delete it`,
    );
  }
}
