import type { VocabMappingRow } from "#/shards/mod.ts";
import { SparseCounts } from "#/stages/map_vocab/methods/sparse_counts.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import {
  mappingAsPublished,
  type MappingDefects,
  mapReference,
  type Tie,
} from "./map_reference.ts";

/** Added to every product of norms, as published. */
const LEAST_NORM = 1e-6;

/** How company is counted. */
export interface CompanyOptions {
  /** Tokens to either side that are company. Defaults to 5. */
  window?: number;
  /** Which defects to reproduce. Defaults to all. */
  defects?: MappingDefects;
}

/**
 * FuseLLM's re-ranking by co-occurrence, as published: of the target tokens at the
 * least edit distance the one whose company in a corpus is most like the source
 * token's, by the cosine.
 *
 * Company is counted over the target's tokens that are the image of some source
 * token. As published, neighbours count twice, but those at the window's edge
 * once, and of several source tokens with one image the last stands for all.
 */
export class ReferenceCoOccurrence implements Iterable<VocabMappingRow> {
  readonly #target: Tokenizer;
  readonly #source: Tokenizer;
  readonly #rows: VocabMappingRow[] = [];
  readonly #ties = new Map<number, Tie>();
  readonly #open: ReadonlySet<number>;
  /** The target's token that a source token counts as; −1 where it is none. */
  readonly #features: Int32Array;
  readonly #isFeature: Uint8Array;
  readonly #ours = new SparseCounts();
  readonly #theirs = new SparseCounts();
  readonly #window: number;
  readonly #defects: MappingDefects;

  /**
   * Prepare.
   *
   * @param target The target's tokenizer.
   * @param source The source's tokenizer.
   * @param options See {@linkcode CompanyOptions}.
   * @throws {RangeError} If the target has no token.
   */
  constructor(
    target: Tokenizer,
    source: Tokenizer,
    { window = 5, defects = mappingAsPublished }: CompanyOptions = {},
  ) {
    this.#target = target;
    this.#source = source;
    this.#window = window;
    this.#defects = defects;
    const tell = (tie: Tie) => void this.#ties.set(tie.sourceId, tie);
    this.#rows.push(...mapReference(target, source, defects, tell));
    this.#open = new Set([...this.#ties.values()].flatMap(({ ids }) => ids));
    this.#features = new Int32Array(source.vocabSize).fill(-1);
    this.#isFeature = new Uint8Array(target.vocabSize);
    const last = new Map<number, number>();
    for (const { sourceId, targetId, weight } of this.#rows) {
      if (weight === 0) continue;
      const before = last.get(targetId);
      if (defects["last-image"] && before !== undefined) {
        this.#features[before] = -1;
      }
      last.set(targetId, sourceId);
      this.#features[sourceId] = targetId;
      this.#isFeature[targetId] = 1;
    }
  }

  /**
   * Count the company in a text.
   *
   * @param text A text of the corpus.
   */
  read(text: string): void {
    this.#count(this.#target.encode(text).ids, (id, other, times) => {
      if (this.#open.has(id) && this.#isFeature[other]) {
        this.#ours.add(id, other, times);
      }
    });
    this.#count(this.#source.encode(text).ids, (id, other, times) => {
      const feature = this.#features[other]!;
      if (this.#ties.has(id) && feature >= 0) {
        this.#theirs.add(id, feature, times);
      }
    });
  }

  /** Map, after all texts are read. */
  *[Symbol.iterator](): Generator<VocabMappingRow> {
    for (const row of this.#rows) {
      const tie = this.#ties.get(row.sourceId);
      yield tie ? { ...row, targetId: this.#choose(tie) } : row;
    }
  }

  #count(
    ids: Int32Array,
    tell: (id: number, other: number, times: number) => void,
  ): void {
    const edge = this.#defects["window-edge"] ? 1 : 2;
    for (let i = 0; i < ids.length; i++) {
      const end = Math.min(ids.length - 1, i + this.#window);
      for (let j = Math.max(0, i - this.#window); j <= end; j++) {
        const isEdge = Math.abs(i - j) === this.#window;
        if (j !== i) tell(ids[i]!, ids[j]!, isEdge ? edge : 2);
      }
    }
  }

  /** The first of the most similar. */
  #choose({ sourceId, ids }: Tie): number {
    const company = this.#theirs.row(sourceId);
    const similarities = ids.map((id) => {
      const other = this.#ours.row(id);
      let dot = 0;
      for (const [token, count] of company) {
        dot += count * (other.get(token) ?? 0);
      }
      return dot / (norm(company) * norm(other) + LEAST_NORM);
    });
    return ids[similarities.indexOf(Math.max(...similarities))]!;
  }
}

function norm(company: ReadonlyMap<number, number>): number {
  let sum = 0;
  for (const count of company.values()) sum += count * count;
  return Math.sqrt(sum);
}
