import {
  type SinkhornOptions,
  type SinkhornOutput,
  sinkhornScaling,
  type TransportProblems,
} from "#/kernels/mod.ts";
import type {
  AlignedRow,
  RepresentationRow,
  VocabMappingRow,
} from "#/shards/mod.ts";
import type { CostName, Embeddings } from "./costs/mod.ts";
import type { EvidenceTally } from "./evidence.ts";
import { emptyRow } from "./empty_row.ts";
import { joinRows } from "./join_rows.ts";
import {
  type AlignBlocks,
  type AlignedBlock,
  type AlignMethod,
  type AlignMethodName,
  type AlignPairs,
  type BlockOptions,
  type MappedVocabularies,
  type Masses,
  methods,
  type Pair,
  type TransportOptions,
} from "./methods/mod.ts";
import { type PositionPairs, positionPairs } from "./position_pairs.ts";
import type { ReferenceDefects } from "./reference/mod.ts";
import { spanLogprobs } from "./span_logprobs.ts";
import { startRows, TokenRelations } from "./token_relations.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { writeTop } from "./write_top.ts";

/** What is aligned with what. */
export interface AlignInputs {
  /** The target's representations. */
  targetRows: AsyncIterable<RepresentationRow> | Iterable<RepresentationRow>;
  /** The source's, of the same blocks in the same order. */
  sourceRows: AsyncIterable<RepresentationRow> | Iterable<RepresentationRow>;
  /** The target's tokenizer. */
  target: Tokenizer;
  /** The source's tokenizer. */
  source: Tokenizer;
  /** What `mapVocab()` says of the two. */
  mapping: Iterable<VocabMappingRow>;
}

/** How to align. */
export interface AlignOptions {
  /** Defaults to `optimal-transport`. */
  method?: AlignMethodName;
  /**
   * Candidates of each side that take part, and tokens kept of the result, K'.
   * Defaults to as many as the source's representations hold.
   */
  topK?: number;
  /** How to transport, for the methods that do. */
  sinkhorn?: SinkhornOptions;
  /** What solves transport problems. Defaults to the CPU. */
  solve?: (
    problems: TransportProblems,
    options: SinkhornOptions,
  ) => Promise<SinkhornOutput>;
  /** What it costs to move mass, for the same. Defaults to `byte-edit-distance`. */
  cost?: CostName;
  /** The target's embeddings, for costs that need them. */
  embeddings?: Embeddings;
  /** Which defects to reproduce, for the published methods. Defaults to all. */
  defects?: ReferenceDefects;
  /** Is told what is kept and lost, where it is of interest. */
  evidence?: EvidenceTally;
  /** Pairs that are solved together, about. Defaults to 8192. */
  batchPairs?: number;
  /** Row number of the first rows, for errors. Defaults to 0. */
  firstRow?: number;
}

/** One block on its way. */
interface Block {
  targetRow: RepresentationRow;
  sourceRow: RepresentationRow;
  pairs: PositionPairs;
}

/**
 * Rewrite a source's distributions over the target's vocabulary, at the
 * target's positions.
 *
 * A row that no source row faces has weight 0 and no distribution; so has one
 * none of whose mass finds a place, as it has nothing to teach. The K' largest
 * masses are kept, and what is missing to 1 is the residual.
 *
 * @param inputs The two representations, the tokenizers and the mapping.
 * @param options See {@linkcode AlignOptions}.
 * @returns One row per block, in their order; two batches of them are in memory.
 * @throws {RangeError} If the rows are not about the same blocks, or the
 * mapping is not one of these tokenizers; naming the row.
 */
export async function* align(
  { targetRows, sourceRows, target, source, mapping }: AlignInputs,
  options: AlignOptions = {},
): AsyncGenerator<AlignedRow> {
  const { batchPairs = 8192 } = options;
  const solveBlocks = blockSolver({ target, source, mapping }, options);
  // Transport may be solved elsewhere, while the next blocks are prepared.
  let before: Promise<AlignedRow[]> = Promise.resolve([]);
  const start = (blocks: readonly Block[]) => {
    const solved = solveBlocks(blocks);
    solved.catch(() => {}); // thrown where it is awaited
    return solved;
  };
  let blocks: Block[] = [];
  let waiting = 0;
  const joined = joinRows(targetRows, sourceRows, options.firstRow ?? 0);
  for await (const { targetRow, sourceRow } of joined) {
    checkIds(targetRow, target);
    checkIds(sourceRow, source);
    const pairs = positionPairs(targetRow.byteEnds, sourceRow.byteEnds);
    blocks.push({ targetRow, sourceRow, pairs });
    waiting += pairs.target.length;
    if (waiting < batchPairs) continue;
    const solved = start(blocks);
    blocks = [];
    waiting = 0;
    yield* await before;
    before = solved;
  }
  const last = start(blocks);
  yield* await before;
  yield* await last;
}

/** What solves a batch of blocks by the method that is asked for. */
function blockSolver(
  { target, source, mapping }: Omit<AlignInputs, "targetRows" | "sourceRows">,
  options: AlignOptions,
): (blocks: readonly Block[]) => Promise<AlignedRow[]> {
  const images = [...mapping];
  const vocabularies = { target, source, mapping: images };
  const relations = new TokenRelations(target, source, images, options);
  const method: AlignMethod = methods[options.method ?? "optimal-transport"];
  const solve = "pairs" in method
    ? solvePairs(method.pairs, vocabularies, relations, options)
    : solveWhole(method.blocks(vocabularies, blockOptions(options)));
  return async (blocks) => {
    const solved = await solve(blocks);
    solved.forEach((block, k) =>
      options.evidence?.add(
        { ...blocks[k]!, ...block },
        (id) => relations.hasExactImage(id),
      )
    );
    return solved.map(({ row }) => row);
  };
}

/** A method for pairs solves those of all blocks together. */
function solvePairs(
  method: AlignPairs,
  vocabularies: MappedVocabularies,
  relations: TokenRelations,
  options: AlignOptions,
): (blocks: readonly Block[]) => Promise<AlignedBlock[]> {
  const transport: TransportOptions = {
    sinkhorn: options.sinkhorn ?? {},
    vocabSize: vocabularies.target.vocabSize,
    mostImages: relations.mostImages,
    solve: options.solve ??
      ((problems, settings) =>
        Promise.resolve(sinkhornScaling(problems, settings))),
  };
  return async (blocks) => {
    const pairs = blocks.flatMap((block) =>
      facing(block, relations, vocabularies, options.topK)
    );
    const masses = await method(pairs, transport);
    let next = 0;
    return blocks.map((block) => {
      const first = next;
      next += block.pairs.target.length;
      const topK = options.topK ?? block.sourceRow.topK;
      const row = alignedRow(block, masses.slice(first, next), topK);
      return { row, fallbackRows: 0 };
    });
  };
}

function solveWhole(
  alignBlock: ReturnType<AlignBlocks>,
): (blocks: readonly Block[]) => Promise<AlignedBlock[]> {
  return (blocks) =>
    Promise.resolve(
      blocks.map((block) => {
        const aligned = alignBlock(block.targetRow, block.sourceRow);
        tellSpans(block, aligned.row);
        return aligned;
      }),
    );
}

function blockOptions(
  { topK, sinkhorn, defects }: AlignOptions,
): BlockOptions {
  const threshold = sinkhorn?.threshold;
  return {
    ...(topK !== undefined && { topK }),
    ...(threshold !== undefined && { threshold }),
    ...(defects && { defects }),
  };
}

/** Another tokenizer's ids may fit, too; those that do not fit cannot be read. */
function checkIds(
  { id, inputIds, topkIds }: RepresentationRow,
  { directory, vocabSize }: Tokenizer,
): void {
  for (const ids of [inputIds, topkIds]) {
    const foreign = ids.find((token) => token >= vocabSize);
    if (foreign === undefined) continue;
    throw new RangeError(
      `Cannot align block ${id}: it has token ${foreign}, expected less than ` +
        `the ${vocabSize} of ${directory}`,
    );
  }
}

/** What the two models say at every position pair of a block. */
function facing(
  { targetRow, sourceRow, pairs }: Block,
  relations: TokenRelations,
  { target, source }: { target: Tokenizer; source: Tokenizer },
  topK = Infinity,
): Pair[] {
  const targetStart = startRows(target, targetRow.inputIds, targetRow.byteEnds);
  const sourceStart = startRows(source, sourceRow.inputIds, sourceRow.byteEnds);
  return Array.from(pairs.target, (t, k) => {
    const s = pairs.source[k]!;
    const ours = candidates(targetRow, t, topK);
    const theirs = candidates(sourceRow, s, topK);
    return {
      relation: relations.at(t < targetStart, s < sourceStart),
      sourceIds: theirs.ids,
      sourceLogprobs: theirs.logprobs,
      targetIds: ours.ids,
      targetLogprobs: ours.logprobs,
    };
  });
}

function candidates(
  { topK, topkIds, topkLogprobs }: RepresentationRow,
  row: number,
  most: number,
) {
  const [first, end] = [row * topK, row * topK + Math.min(topK, most)];
  return {
    ids: topkIds.subarray(first, end),
    logprobs: topkLogprobs.subarray(first, end),
  };
}

function alignedRow(
  { targetRow, sourceRow, pairs }: Block,
  masses: readonly Masses[],
  topK: number,
): AlignedRow {
  const row = emptyRow(targetRow, sourceRow, topK);
  pairs.target.forEach((t, k) => {
    const kept = writeTop(masses[k]!, row, t);
    row.weight[t] = kept > 0 ? 1 : 0;
    row.marginalError[t] = masses[k]!.marginalError;
  });
  tellSpans({ targetRow, sourceRow, pairs }, row);
  return row;
}

/** The source's logprobs of the bytes from pair to pair, whatever the method. */
function tellSpans({ sourceRow, pairs }: Block, row: AlignedRow): void {
  const spans = spanLogprobs(pairs, sourceRow.labelLogprobs);
  pairs.target.forEach((t, k) => row.labelLogprobs[t] = spans[k]!);
}
