import { Buffer } from "node:buffer";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { float, integer, string } from "@optique/core/valueparser";
import { resolveModel } from "#/models/mod.ts";
import {
  datasets,
  type InputDocument,
  type Manifest,
  readDocuments,
  type Resume,
  type TextRow,
  writeDataset,
} from "#/shards/mod.ts";
import {
  type Command,
  defineCommand,
  list,
  type Report,
  runCommand,
} from "#/stages/command.ts";
import { Progress } from "#/stages/progress.ts";
import {
  referenceFlag,
  switchedOn,
  switchesOf,
} from "#/stages/reference_switches.ts";
import { tokenizerFiles } from "#/stages/tokenizer_files.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { CutPool } from "./cut_pool.ts";
import { cutDocument } from "./cut_document.ts";
import type { Block } from "./cut_text.ts";
import { type SplitDefects, splitDefects } from "./reference/slice_tokens.ts";
import { type ChoiceOptions, chooseDocument } from "./document_choice.ts";
import { split, type SplitOptions } from "./split.ts";

interface Flags extends ChoiceOptions {
  text: readonly string[];
  target: string;
  source: readonly string[];
  out: string;
  maxTokens: number;
  workers: number | undefined;
  reference: readonly string[];
}

/** What is counted while splitting, by split. */
interface Counts {
  documents: number;
  emptyDocuments: number;
  /** Blocks that end where not every tokenizer has a boundary. */
  forcedCuts: number;
}

const directory = string({ metavar: "DIR" });
const share = float({ min: 0, max: 1 });

/** `pta split`: text → blocks that fit every tokenizer. */
export const command: Command = defineCommand(
  "split",
  "Cut documents into blocks that fit the target's and every source's tokenizer",
  object("Split", {
    text: list(option("--text", string({ metavar: "PATH" }), {
      description:
        message`Documents: .txt, .jsonl, .parquet, saved datasets, directories and patterns of those`,
    })),
    target: option("--target", directory, {
      description: message`Directory of the target model`,
    }),
    source: list(
      option("--source", directory, {
        description: message`Directory of a source model`,
      }),
      0,
    ),
    out: option("--out", directory, {
      description: message`Where the blocks go`,
    }),
    maxTokens: withDefault(
      option("--max-tokens", integer({ min: 3 }), {
        description:
          message`Tokens of a block at most, for each tokenizer, BOS and EOS included`,
      }),
      2048,
    ),
    validation: withDefault(
      option("--validation", share, {
        description:
          message`Share of the documents that are kept for validation`,
      }),
      0.05,
    ),
    sample: withDefault(
      option("--sample", share, {
        description: message`Share of the documents that are taken at all`,
      }),
      1,
    ),
    seed: withDefault(
      option("--seed", integer({ min: 0 }), {
        description: message`Chooses other documents for sample and validation`,
      }),
      0,
    ),
    workers: optional(option("--workers", integer({ min: 1 }), {
      description:
        message`Threads that tokenize; the result is the same (default: 2 for more than a megabyte, else 1)`,
    })),
    reference: referenceFlag(splitDefects),
  }),
  run,
);

async function run(flags: Flags): Promise<Report> {
  const { text, out, maxTokens, validation, sample, seed } = flags;
  const defects = switchesOf(splitDefects, flags.reference);
  checkSwitches(defects);
  const target = await resolveModel(flags.target);
  const sources: string[] = [];
  for (const source of flags.source) sources.push(await resolveModel(source));
  const directories = [target, ...sources];
  const tokens = new WeakMap<TextRow, number>();
  const counts: Record<string, Counts> = {};
  using cutters = new Cutters(flags, directories);
  const { manifest, skipped } = await writeDataset(
    {
      out,
      stage: "split",
      options: { maxTokens, validation, sample, seed, ...switchedOn(defects) },
      inputs: {
        text,
        target: tokenizerFiles(target),
        ...Object.fromEntries(
          sources.map((source, index) =>
            [`source${index + 1}`, tokenizerFiles(source)] as const
          ),
        ),
      },
      schema: datasets.text,
      ...(validation > 0 && { splits: ["train", "validation"] }),
      metadata: () => ({ ...counts }),
    },
    (resume) => produce(resume, flags, { cutters, tokens, counts }),
    (row) => tokens.get(row) ?? 0,
  );
  return report(out, manifest, skipped);
}

/** Two of the switches say how slices are made. */
function checkSwitches(
  { "token-slices": slices, ...others }: SplitDefects,
): void {
  const given = Object.entries(others).filter(([, on]) => on);
  if (slices || given.length === 0) return;
  throw new RangeError(
    `Cannot split with --reference ${given.map(([name]) => name).join()} ` +
      "alone: it is about slices of tokens, expected token-slices, too",
  );
}

interface Work {
  cutters: Cutters;
  tokens: WeakMap<TextRow, number>;
  counts: Record<string, Counts>;
}

/** All rows of a split are cut, those that are there are not written again. */
async function* produce(
  { split: name, rows }: Resume,
  flags: Flags,
  { cutters, tokens, counts }: Work,
): AsyncGenerator<TextRow> {
  const count: Counts = { documents: 0, emptyDocuments: 0, forcedCuts: 0 };
  counts[name] = count;
  const bytes = await bytesOf(flags, name);
  using bar = new Progress(`split ${name}`, bytes, "bytes");
  let current: readonly Block[] = [];
  const blocks = split(chosen(flags, name), [], {
    ...await cutters.forBytes(bytes),
    onDocument({ text }, blocks) {
      current = blocks;
      count.documents++;
      if (blocks.length === 0) count.emptyDocuments++;
      count.forcedCuts += blocks.filter(({ isCommon }) => !isCommon).length;
      bar.advance(byteLength(text));
    },
  });
  for await (const row of blocks) {
    tokens.set(row, current[row.block]!.tokens);
    if (rows-- <= 0) yield row;
  }
}

/** A second worker takes longer to start than this many bytes take to be cut. */
const WORKER_BYTES = 1e6;

/** What cuts texts, here or in workers: opened when it is asked for, then kept. */
class Cutters implements Disposable {
  readonly #flags: Flags;
  readonly #directories: readonly string[];
  #here: Promise<Cutter> | undefined;
  #pool: Promise<Cutter> | undefined;
  readonly #stack = new DisposableStack();

  constructor(flags: Flags, directories: readonly string[]) {
    this.#flags = flags;
    this.#directories = directories;
  }

  forBytes(bytes: number): Promise<Cutter> {
    const cores = navigator.hardwareConcurrency;
    const workers = this.#flags.workers ??
      (bytes >= WORKER_BYTES ? Math.min(2, cores) : 1);
    // What is open serves a small split, too.
    if (workers === 1 && !this.#pool) return this.#here ??= this.#open();
    return this.#pool ??= this.#openPool(Math.max(2, workers));
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
  }

  get #limits() {
    const { maxTokens, reference } = this.#flags;
    return { maxTokens, defects: switchesOf(splitDefects, reference) };
  }

  async #open(): Promise<Cutter> {
    const tokenizers = await Promise.all(this.#directories.map(loadTokenizer));
    const cut = (text: string) => cutDocument(text, tokenizers, this.#limits);
    return { cut, concurrency: 1 };
  }

  async #openPool(workers: number): Promise<Cutter> {
    const directories = this.#directories;
    const pool = await CutPool.open(workers, { directories, ...this.#limits });
    this.#stack.use(pool);
    return { cut: (text) => pool.cut(text), concurrency: workers };
  }
}

/** Cuts texts, several at a time. */
type Cutter = Required<Pick<SplitOptions, "cut" | "concurrency">>;

async function* chosen(
  flags: Flags,
  name: string,
): AsyncGenerator<InputDocument> {
  for await (const document of readDocuments(flags.text)) {
    if (chooseDocument(document.text, flags) === name) yield document;
  }
}

async function bytesOf(flags: Flags, name: string): Promise<number> {
  let bytes = 0;
  for await (const { text } of chosen(flags, name)) bytes += byteLength(text);
  return bytes;
}

function byteLength(text: string): number {
  return Buffer.byteLength(text);
}

function report(out: string, manifest: Manifest, skipped: boolean): Report {
  const { rows, splits, tokens, seconds, metadata } = manifest;
  const parts = Object.entries(splits).map(([name, blocks]) =>
    `${blocks} blocks for ${name}`
  );
  const done = skipped ? "was there already" : `${seconds} s`;
  return {
    text: `${out}: ${
      parts.join(", ")
    }, ${tokens} tokens of the target, ${done}`,
    lines: [{
      stage: "split",
      out,
      rows,
      splits,
      tokens,
      seconds,
      skipped,
      ...metadata,
    }],
  };
}

if (import.meta.main) await runCommand(command);
