import { basename, join, resolve } from "node:path";
import { object } from "@optique/core/constructs";
import { message, text } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, float, integer, string } from "@optique/core/valueparser";
import { sinkhornDefaults } from "#/kernels/mod.ts";
import { resolveModel } from "#/models/mod.ts";
import {
  datasets,
  type EncodedRows,
  hashInput,
  readManifest,
  readRows,
  type Resume,
  rowRanges,
  writeDataset,
} from "#/shards/mod.ts";
import {
  type Command,
  defineCommand,
  list,
  type Report,
  runCommand,
} from "#/stages/command.ts";
import { mapInOrder } from "#/stages/map_in_order.ts";
import { Progress } from "#/stages/progress.ts";
import { release } from "#/stages/rpc.ts";
import { tokenizerFiles } from "#/stages/tokenizer_files.ts";
import { loadVocabulary } from "#/tokenizers/mod.ts";
import { AlignPool } from "./align_pool.ts";
import {
  type Cost,
  type CostName,
  costs,
  type Embeddings,
} from "./costs/mod.ts";
import { type Evidence, EvidenceTally } from "./evidence.ts";
import { EvidenceJournal } from "./evidence_journal.ts";
import { mappingTable } from "./mapping_table.ts";
import {
  type AlignMethod,
  type AlignMethodName,
  methods,
} from "./methods/mod.ts";
import { readEmbeddings } from "./read_embeddings.ts";
import { referenceDefects, withDefects } from "./reference/mod.ts";

interface Flags {
  target: string;
  source: string;
  targetRepresentations: string;
  sourceRepresentations: string;
  vocabMapping: string;
  out: string;
  method: AlignMethodName;
  reference: readonly string[];
  cost: CostName | undefined;
  epsilon: number;
  tau: number;
  topK: number | undefined;
  threshold: number;
  iterations: number | undefined;
  device: "auto" | "cpu" | "webgpu";
  workers: number;
}

/** A worker takes longer to start than this many blocks take. */
const WORKER_BLOCKS = 16;

const directory = string({ metavar: "DIR" });
const defaults = sinkhornDefaults;
const names = Object.keys(methods) as AlignMethodName[];
const costNames = Object.keys(costs) as CostName[];

/** `pta align`: a source's distributions → the same over the target's vocabulary. */
export const command: Command = defineCommand(
  "align",
  "Rewrite a source's distributions over the target's vocabulary",
  object("Align", {
    target: option("--target", directory, {
      description: message`Directory of the target model`,
    }),
    source: option("--source", directory, {
      description: message`Directory of the source model`,
    }),
    targetRepresentations: option("--target-representations", directory, {
      description: message`What the target predicts`,
    }),
    sourceRepresentations: option("--source-representations", directory, {
      description: message`What the source predicts`,
    }),
    vocabMapping: option("--vocab-mapping", directory, {
      description: message`What map-vocab has written for the two`,
    }),
    out: option("--out", directory, {
      description: message`Where the aligned rows go`,
    }),
    method: withDefault(
      option("--method", choice(names), {
        description: [
          text(
            "How distributions are rewritten. " +
              names.map((name) => `${name}: ${methods[name].description}`)
                .join("; "),
          ),
        ],
      }),
      "optimal-transport",
    ),
    reference: list(
      option("--reference", string({ metavar: "DEFECT,DEFECT" }), {
        description: [
          text(
            "Defects of the published methods that are to be as published, " +
              "the others corrected (default: all of them), or none. " +
              Object.entries(referenceDefects)
                .map(([name, what]) => `${name}: ${what}`).join("; "),
          ),
        ],
      }),
      0,
    ),
    cost: optional(
      option("--cost", choice(costNames), {
        description: [
          text(
            "What it costs to move mass (default: byte-edit-distance). " +
              costNames.map((name) => `${name}: ${costs[name].description}`)
                .join("; "),
          ),
        ],
      }),
    ),
    topK: optional(
      option("--top-k", integer({ min: 1 }), {
        description:
          message`Candidates of either side that take part, and are kept`,
      }),
    ),
    epsilon: withDefault(
      option("--epsilon", float({ min: 0 }), {
        description: message`Entropic regularization, in edits`,
      }),
      defaults.epsilon,
    ),
    tau: withDefault(
      option("--tau", float({ min: 0, allowInfinity: true }), {
        description:
          message`Price of leaving the target's distribution, in edits`,
      }),
      defaults.tau,
    ),
    threshold: withDefault(
      option("--threshold", float({ min: 0 }), {
        description: message`Marginal error at which transport is solved`,
      }),
      defaults.threshold,
    ),
    iterations: optional(
      option("--iterations", integer({ min: 1 }), {
        description:
          message`Iterations of transport at most (default: 1000, balanced 20000)`,
      }),
    ),
    device: withDefault(
      option("--device", choice(["auto", "cpu", "webgpu"]), {
        description:
          message`Where transport is solved; auto takes a GPU, but no software one`,
      }),
      "auto",
    ),
    workers: withDefault(
      option("--workers", integer({ min: 1 }), {
        description: message`Threads that align; the result is the same`,
      }),
      2,
    ),
  }),
  alignDatasets,
);

async function alignDatasets(flags: Flags): Promise<Report> {
  const { out, method } = flags;
  const options = heededOptions(flags);
  const targetDirectory = await resolveModel(flags.target);
  const sourceDirectory = await resolveModel(flags.source);
  const { splits } = await readManifest(flags.targetRepresentations);
  await checkTokenizers(flags, { targetDirectory, sourceDirectory });
  const tally = new EvidenceTally();
  const { keepsTokens }: AlignMethod = methods[method];
  const sourceTokens = keepsTokens
    ? (await loadVocabulary(sourceDirectory)).vocabSize
    : undefined;
  using stack = new DisposableStack();
  const models = { target: targetDirectory, source: sourceDirectory };
  let pool: Promise<AlignPool> | undefined;
  const open = async (blocks: number) => {
    const workers = Math.min(flags.workers, Math.ceil(blocks / WORKER_BLOCKS));
    const pool = stack.use(new AlignPool(workers));
    await openPool(pool, flags, models);
    return pool;
  };
  const { manifest, skipped } = await writeDataset(
    {
      out,
      stage: "align",
      options,
      inputs: {
        targetRepresentations: flags.targetRepresentations,
        sourceRepresentations: flags.sourceRepresentations,
        vocabMapping: flags.vocabMapping,
        target: tokenizerFiles(targetDirectory),
        source: tokenizerFiles(sourceDirectory),
        ...(needsEmbeddings(flags) && { embeddings: targetDirectory }),
      },
      schema: datasets.aligned,
      ...(Object.keys(splits).join() !== "train" && {
        splits: Object.keys(splits),
      }),
      metadata: () => ({
        source: basename(resolve(flags.source)),
        ...sourceTokens !== undefined && { sourceTokens },
        evidence: tally.summary(),
      }),
    },
    (resume) => {
      const blocks = splits[resume.split]! - resume.rows;
      return produce(resume, flags, {
        open: () => pool ??= open(blocks),
        ...{ blocks, tally },
      });
    },
    ({ weight }) => weight.length,
  );
  for (const split of Object.keys(splits)) removeJournal(flags, split);
  const { rows, tokens, metadata } = manifest;
  const evidence = metadata?.evidence as Evidence | undefined;
  return {
    text: `${out}: ${rows} blocks, ${tokens} tokens by ${method}` +
      (evidence ? `; ${described(evidence)}` : "") +
      (skipped ? " (complete already)" : ""),
    lines: [{ stage: "align", out, rows, tokens, method, skipped, evidence }],
  };
}

/** The options that decide the content: those that the method heeds. */
function heededOptions(flags: Flags): Record<string, unknown> {
  const { method, topK, cost, epsilon, tau, threshold } = flags;
  const { settings }: AlignMethod = methods[method];
  const given = {
    epsilon,
    // JSON has no infinity.
    tau: String(tau),
    threshold,
    iterations: iterationsOf(flags),
    // Not named where it is the default: older datasets do not name it.
    cost: cost === "byte-edit-distance" ? undefined : cost,
    reference: defectsOf(flags).join(),
  };
  for (const name of ["cost", "reference"] as const) {
    const isGiven = name === "cost" ? cost !== undefined : flags[name].length;
    if (!isGiven || settings.includes(name)) continue;
    const heeding = names.filter((each) => {
      const method: AlignMethod = methods[each];
      return method.settings.includes(name);
    });
    throw new RangeError(
      `Cannot align by ${method} with --${name}: it does not heed it, ` +
        `expected --method ${heeding.join(" or ")}`,
    );
  }
  const heeded = settings.map((name) => [name, given[name]] as const);
  return { method, topK, ...Object.fromEntries(heeded) };
}

function iterationsOf({ method, iterations }: Flags): number {
  const facts: AlignMethod = methods[method];
  return iterations ?? facts.iterations ?? defaults.iterations;
}

function needsEmbeddings({ cost }: Flags): boolean {
  const chosen: Cost | undefined = cost && costs[cost];
  return chosen?.needsEmbeddings ?? false;
}

/** Names of the defects that are switched on, in their order. */
function defectsOf({ reference }: Flags): string[] {
  const given = reference.flatMap((names) => names.split(","))
    .map((name) => name.trim());
  const all = Object.keys(referenceDefects);
  if (given.length === 0) return all;
  const switches = withDefects(given.join() === "none" ? [] : given);
  return Object.entries(switches).flatMap(([name, on]) => on ? [name] : []);
}

function described({ paired, taught, massLost }: Evidence): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  return `${percent(paired)} of the rows paired, ${percent(taught)} taught, ` +
    `${percent(massLost)} of a distribution lost`;
}

/** Ids of other tokenizers would give nonsense where they happen to fit. */
async function checkTokenizers(
  flags: Flags,
  directories: { targetDirectory: string; sourceDirectory: string },
): Promise<void> {
  const mapping = flags.vocabMapping;
  const { inputs } = await readManifest(mapping);
  for (const role of ["target", "source"] as const) {
    const directory = directories[`${role}Directory`];
    const expected = await hashInput(tokenizerFiles(directory));
    if (inputs[role] !== expected) {
      throw new RangeError(
        `Cannot align with the vocabulary mapping ${mapping}: its ${role} is ` +
          `another tokenizer, expected that of ${directory}`,
      );
    }
    const representations = flags[`${role}Representations`];
    const { metadata } = await readManifest(representations);
    // Representations that another program has written need not say.
    if ((metadata?.tokenizer ?? expected) !== expected) {
      throw new RangeError(
        `Cannot align the ${role}'s representations ${representations}: they ` +
          `are by another tokenizer, expected that of ${directory}`,
      );
    }
  }
}

/** What a split's rows are made with. */
interface Production {
  /** Opens the workers, once. */
  open: () => Promise<AlignPool>;
  /** Blocks that are to be aligned. */
  blocks: number;
  /** Is told the evidence of the whole split. */
  tally: EvidenceTally;
}

async function* produce(
  { rows: skip, split }: Resume,
  flags: Flags,
  { open, blocks, tally }: Production,
): AsyncGenerator<EncodedRows> {
  using journal = new EvidenceJournal(journalOf(flags, split), skip);
  if (blocks > 0) {
    const pool = await open();
    const ranges = rowRanges(flags.targetRepresentations, { split, skip });
    const results = mapInOrder(
      ranges,
      pool.concurrency,
      (range) =>
        pool.align({ ...range, split, isLast: range.end === skip + blocks }),
    );
    using progress = new BlockProgress(split, blocks);
    for await (const { encoded, evidence } of results) {
      for (const counts of evidence) journal.add(counts);
      yield encoded;
      progress.advance(encoded);
      // Given back once it is written, not when it is swept.
      release([encoded.batch]);
    }
  }
  tally.add(journal.counts);
}

/** Where the evidence of rows that are there is kept while others are missing. */
function journalOf({ out }: Flags, split: string): string {
  return join(out, `evidence-${split}.sums`);
}

function removeJournal(flags: Flags, split: string): void {
  try {
    Deno.removeSync(journalOf(flags, split));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Workers start while there is still to be read what they are to know. */
async function openPool(
  pool: AlignPool,
  flags: Flags,
  directories: { target: string; source: string },
): Promise<void> {
  const { method, topK, cost, epsilon, tau, threshold } = flags;
  const { settings }: AlignMethod = methods[method];
  const transports = settings.includes("iterations");
  const mapping = await Array.fromAsync(
    readRows(flags.vocabMapping, datasets.vocabMappings),
  );
  const { targetRepresentations, sourceRepresentations } = flags;
  await pool.open({
    ...directories,
    ...{ targetRepresentations, sourceRepresentations },
    mapping: mappingTable(mapping),
    device: transports ? flags.device : "cpu",
    options: {
      method,
      ...(topK !== undefined && { topK }),
      sinkhorn: { epsilon, tau, threshold, iterations: iterationsOf(flags) },
      ...(cost && { cost }),
      ...(needsEmbeddings(flags) && {
        embeddings: await sharedEmbeddings(directories.target),
      }),
      defects: withDefects(defectsOf(flags)),
    },
  });
  if (transports) await sayWhere(pool, flags.device);
}

/** Embeddings that workers do not each hold a copy of. */
async function sharedEmbeddings(directory: string): Promise<Embeddings> {
  const { vocabSize } = await loadVocabulary(directory);
  const { values, width } = await readEmbeddings(directory, vocabSize);
  const shared = new Float32Array(new SharedArrayBuffer(values.byteLength));
  shared.set(values);
  return { values: shared, width };
}

async function sayWhere(
  { gpu }: AlignPool,
  asked: Flags["device"],
): Promise<void> {
  await say(
    gpu !== undefined
      ? `align: transport on WebGPU (${gpu})`
      : asked === "cpu"
      ? "align: transport on the CPU"
      : "align: transport on the CPU, as there is no GPU",
  );
}

/** Tells blocks and tokens per second. */
class BlockProgress implements Disposable {
  readonly #progress: Progress;
  readonly #start = performance.now();
  #tokens = 0;

  constructor(split: string, blocks: number) {
    this.#progress = new Progress(`align ${split}`, blocks, "blocks");
  }

  advance({ rows, tokens }: EncodedRows): void {
    this.#tokens += tokens;
    const rate = this.#tokens / (performance.now() - this.#start) * 1000;
    this.#progress.advance(rows, `${rate.toPrecision(3)} tokens/s`);
  }

  [Symbol.dispose](): void {
    this.#progress[Symbol.dispose]();
  }
}

async function say(line: string): Promise<void> {
  await Deno.stderr.write(new TextEncoder().encode(line + "\n"));
}

if (import.meta.main) await runCommand(command);
