import type {
  SinkhornOptions,
  SinkhornOutput,
  TransportProblems,
} from "#/kernels/mod.ts";
import type {
  AlignedRow,
  RepresentationRow,
  VocabMappingRow,
} from "#/shards/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import type { CostName, Embeddings } from "./costs/mod.ts";
import { emptyRow } from "./empty_row.ts";
import { countEvidence, type EvidenceCounts } from "./evidence.ts";
import type { JoinedRows } from "./join_rows.ts";
import {
  type AlignBlocks,
  type AlignedBlock,
  type AlignMethod,
  type AlignMethodName,
  type AlignPairs,
  type BlockOptions,
  type Candidates,
  type Masses,
  methods,
  type Pair,
} from "./methods/mod.ts";
import { type PositionPairs, positionPairs } from "./position_pairs.ts";
import type { ReferenceDefects } from "./reference/mod.ts";
import { spanLogprobs } from "./span_logprobs.ts";
import { startRows, TokenRelations } from "./token_relations.ts";
import { writeTop } from "./write_top.ts";

/** Two vocabularies, and how they relate. */
export interface AlignVocabularies {
  /** The target's tokenizer. */
  target: Tokenizer;
  /** The source's tokenizer. */
  source: Tokenizer;
  /** What `mapVocab()` says of the two. */
  mapping: Iterable<VocabMappingRow>;
}

/** How blocks are aligned. */
export interface BlockAlignerOptions {
  /** Defaults to `optimal-transport`. */
  method?: AlignMethodName;
  /**
   * Candidates of each side that take part, and tokens kept of the result, K'.
   * Defaults to as many as the source's representations hold.
   */
  topK?: number;
  /** How to transport, for the methods that do. */
  sinkhorn?: SinkhornOptions;
  /** What solves transport problems, and may use their arrays up. Defaults to the CPU. */
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
}

/** An aligned block, and what was kept and lost. */
export interface AlignedEvidence {
  /** What came out. */
  row: AlignedRow;
  /** What to add to the evidence. */
  evidence: EvidenceCounts;
}

/** What aligns blocks: here, or in workers. */
export interface Aligner {
  /**
   * Align blocks.
   *
   * @param blocks What the two models say about each.
   * @returns One row per block, in their order.
   * @throws {RangeError} If a block's ids are not the tokenizers'.
   */
  align(blocks: readonly JoinedRows[]): Promise<AlignedEvidence[]>;
}

/** One block on its way. */
interface Block extends JoinedRows {
  pairs: PositionPairs;
}

/** Aligns blocks in this thread. */
export class BlockAligner implements Aligner {
  readonly #target: Tokenizer;
  readonly #source: Tokenizer;
  readonly #relations: TokenRelations;
  readonly #solve: (blocks: readonly Block[]) => Promise<AlignedBlock[]>;

  /**
   * Prepare.
   *
   * @param vocabularies What is aligned with what.
   * @param options See {@linkcode BlockAlignerOptions}.
   * @throws {RangeError} If the mapping is not one of these tokenizers.
   */
  constructor(
    { target, source, mapping }: AlignVocabularies,
    options: BlockAlignerOptions = {},
  ) {
    const images = [...mapping];
    const vocabularies = { target, source, mapping: images };
    this.#target = target;
    this.#source = source;
    this.#relations = new TokenRelations(target, source, images, options);
    const method: AlignMethod = methods[options.method ?? "optimal-transport"];
    this.#solve = "pairs" in method
      ? solvePairs(method.pairs, vocabularies, this.#relations, options)
      : solveWhole(method.blocks(vocabularies, blockOptions(options)));
  }

  /** {@inheritDoc Aligner.align} */
  async align(rows: readonly JoinedRows[]): Promise<AlignedEvidence[]> {
    const blocks = rows.map(({ targetRow, sourceRow }) => {
      checkIds(targetRow, this.#target);
      checkIds(sourceRow, this.#source);
      const pairs = positionPairs(targetRow.byteEnds, sourceRow.byteEnds);
      return { targetRow, sourceRow, pairs };
    });
    const solved = await this.#solve(blocks);
    return solved.map((aligned, k) => {
      tellSpans(blocks[k]!, aligned.row);
      const evidence = countEvidence(
        { ...blocks[k]!, ...aligned },
        (id) => this.#relations.hasExactImage(id),
      );
      return { row: aligned.row, evidence };
    });
  }
}

/** A method for pairs solves them many at a time, of whichever block. */
function solvePairs(
  method: AlignPairs,
  vocabularies: { target: Tokenizer; source: Tokenizer },
  relations: TokenRelations,
  options: BlockAlignerOptions,
): (blocks: readonly Block[]) => Promise<AlignedBlock[]> {
  const solve = method({
    sinkhorn: options.sinkhorn ?? {},
    vocabSize: vocabularies.target.vocabSize,
    mostImages: relations.mostImages,
    ...(options.solve && { solve: options.solve }),
  });
  // A GPU takes all at once; here, few are alive at a time and leave no trace.
  const most = options.solve ? Infinity : PAIRS;
  return async (blocks) => {
    const rows = blocks.map(({ targetRow, sourceRow }) =>
      emptyRow(targetRow, sourceRow, options.topK ?? sourceRow.topK)
    );
    let pairs: PlacedPair[] = [];
    for (let k = 0; k < blocks.length; k++) {
      const from = { block: blocks[k]!, row: rows[k]! };
      for (const pair of facingPairs(from, relations, vocabularies, options)) {
        pairs.push(pair);
        if (pairs.length < most) continue;
        await solve(pairs, place);
        pairs = [];
      }
    }
    await solve(pairs, place);
    return rows.map((row) => ({ row, fallbackRows: 0 }));
  };
}

/** Pairs that are solved together on the CPU. */
const PAIRS = 256;

/** A pair, and where what comes out of it goes. */
interface PlacedPair extends Pair {
  row: AlignedRow;
  t: number;
}

function place({ row, t }: PlacedPair, masses: Masses): void {
  const kept = writeTop(masses, row, t);
  row.weight[t] = kept > 0 ? 1 : 0;
  row.marginalError[t] = masses.marginalError;
}

function solveWhole(
  alignBlock: ReturnType<AlignBlocks>,
): (blocks: readonly Block[]) => Promise<AlignedBlock[]> {
  return (blocks) =>
    Promise.resolve(
      blocks.map(({ targetRow, sourceRow }) =>
        alignBlock(targetRow, sourceRow)
      ),
    );
}

function blockOptions(
  { topK, sinkhorn, defects }: BlockAlignerOptions,
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
    const foreign = largest(ids);
    if (foreign < vocabSize) continue;
    throw new RangeError(
      `Cannot align block ${id}: it has token ${foreign}, expected less than ` +
        `the ${vocabSize} of ${directory}`,
    );
  }
}

function largest(ids: Int32Array): number {
  let most = -1;
  for (let k = 0; k < ids.length; k++) most = Math.max(most, ids[k]!);
  return most;
}

/** What the two models say at every position pair of a block. */
function* facingPairs(
  { block: { targetRow, sourceRow, pairs }, row }: {
    block: Block;
    row: AlignedRow;
  },
  relations: TokenRelations,
  { target, source }: { target: Tokenizer; source: Tokenizer },
  { topK = Infinity }: BlockAlignerOptions,
): Generator<PlacedPair> {
  const targetStart = startRows(target, targetRow.inputIds, targetRow.byteEnds);
  const sourceStart = startRows(source, sourceRow.inputIds, sourceRow.byteEnds);
  for (let k = 0; k < pairs.target.length; k++) {
    const [t, s] = [pairs.target[k]!, pairs.source[k]!];
    yield {
      row,
      t,
      relation: relations.at(t < targetStart, s < sourceStart),
      source: candidates(sourceRow, s, topK),
      target: candidates(targetRow, t, topK),
    };
  }
}

function candidates(
  { topK, topkIds, topkLogprobs }: RepresentationRow,
  row: number,
  most: number,
): Candidates {
  const first = row * topK;
  const end = first + Math.min(topK, most);
  return { ids: topkIds, logprobs: topkLogprobs, first, end };
}

/** The source's logprobs of the bytes from pair to pair, whatever the method. */
function tellSpans({ sourceRow, pairs }: Block, row: AlignedRow): void {
  const spans = spanLogprobs(pairs, sourceRow);
  pairs.target.forEach((t, k) => row.labelLogprobs[t] = spans[k]!);
}
