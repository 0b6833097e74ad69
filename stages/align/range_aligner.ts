import {
  type AlignedRow,
  datasets,
  ForwardRows,
  type RepresentationRow,
  RowEncoder,
} from "#/shards/mod.ts";
import { release } from "#/stages/rpc.ts";
import { alignBy, type AlignStreamOptions } from "./align.ts";
import type { AlignedRange, AlignRange } from "./align_pool.ts";
import type { Aligner } from "./block_aligner.ts";
import type { EvidenceCounts } from "./evidence.ts";

/** The datasets that are aligned. */
export interface FacingDatasets {
  /** What the target predicts. */
  targetRepresentations: string;
  /** What the source predicts, about the same blocks. */
  sourceRepresentations: string;
}

/** The two readers of one split. */
interface FacingReaders {
  split: string;
  target: ForwardRows<RepresentationRow>;
  source: ForwardRows<RepresentationRow>;
}

/** Aligns ranges of rows from disk to what a shard holds of them. */
export class RangeAligner {
  readonly #aligner: Aligner;
  readonly #datasets: FacingDatasets;
  readonly #options: AlignStreamOptions;
  #readers: FacingReaders | undefined;
  #encoder: RowEncoder<AlignedRow> | undefined;

  /**
   * Prepare.
   *
   * @param aligner What aligns blocks.
   * @param datasets What to read.
   * @param options How rows go through the aligner.
   */
  constructor(
    aligner: Aligner,
    datasets: FacingDatasets,
    options: Pick<AlignStreamOptions, "batchTokens"> = {},
  ) {
    this.#aligner = aligner;
    this.#datasets = datasets;
    this.#options = options;
  }

  /**
   * Align a range.
   *
   * @param range Which rows: behind those before, or of another split.
   * @returns Its rows, encoded, and the evidence of each.
   * @throws {RangeError} If rows are not about the same blocks, or not as wide
   * as those before, naming the row.
   */
  async align(
    { split, first, end, isLast }: AlignRange,
  ): Promise<AlignedRange> {
    const { target, source } = await this.#readersOf(split);
    const evidence: EvidenceCounts[] = [];
    const copies: Float32Array[] = [];
    const rows = alignBy(this.#aligner, {
      targetRows: noting(target.rows(first, end), copies),
      // One row more is one that the target does not have.
      sourceRows: noting(
        source.rows(first, isLast ? Infinity : end),
        copies,
      ),
    }, {
      ...this.#options,
      evidence: { add: (counts) => evidence.push(counts) },
      firstRow: first,
    });
    let tokens = 0;
    for await (const row of rows) {
      this.#append(row, first + evidence.length - 1);
      tokens += row.weight.length;
      release(row);
    }
    release(copies);
    return { encoded: this.#encoder!.take(tokens), evidence };
  }

  #append(row: AlignedRow, index: number): void {
    this.#encoder ??= new RowEncoder(datasets.aligned, row);
    try {
      this.#encoder.append(row);
    } catch (error) {
      throw new RangeError(
        `Cannot align row ${index}: ${(error as Error).message}`,
      );
    }
  }

  async #readersOf(split: string): Promise<FacingReaders> {
    if (this.#readers?.split === split) return this.#readers;
    await this.#readers?.target[Symbol.asyncDispose]();
    await this.#readers?.source[Symbol.asyncDispose]();
    const { targetRepresentations, sourceRepresentations } = this.#datasets;
    const read = (directory: string) =>
      new ForwardRows(directory, datasets.representations, {
        split,
        release: true,
      });
    return this.#readers = {
      split,
      target: read(targetRepresentations),
      source: read(sourceRepresentations),
    };
  }
}

/** Notes the arrays that are no views into a batch: f16 columns as f32. */
async function* noting(
  rows: AsyncIterable<RepresentationRow>,
  copies: Float32Array[],
): AsyncGenerator<RepresentationRow> {
  for await (const row of rows) {
    copies.push(row.topkLogprobs);
    yield row;
  }
}
