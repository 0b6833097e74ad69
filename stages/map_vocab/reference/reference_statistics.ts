import { NearestStrings } from "#/kernels/edit_distance/nearest_strings.ts";
import type { VocabMappingRow } from "#/shards/mod.ts";
import { dtw } from "#/stages/dtw.ts";
import { SparseCounts } from "#/stages/map_vocab/methods/sparse_counts.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import {
  mappingAsPublished,
  type MappingDefects,
  wordMarker,
} from "./map_reference.ts";

/** Of edits, where one spelling contains the other. */
const CONTAINED = 0.1;

/**
 * FuseChat's mapping by statistics, as published.
 *
 * Both tokenizers' tokens of every text are warped onto each other, without their
 * word markers, and it is counted which meet. A source token goes to the target
 * token of those it has met with the least cost times σ(count), which, σ being
 * rising, is in favour of those it has met least; the unknown token stands for
 * all that it has not met. Spellings that the target has, too, go there, as the
 * code that uses the mapping looks them up first.
 */
export class ReferenceStatistics implements Iterable<VocabMappingRow> {
  readonly #target: Tokenizer;
  readonly #source: Tokenizer;
  readonly #defects: MappingDefects;
  readonly #counts = new SparseCounts();
  readonly #markers: { target: string; source: string };

  /**
   * Prepare.
   *
   * @param target The target's tokenizer.
   * @param source The source's tokenizer.
   * @param options Which defects to reproduce. Defaults to all.
   */
  constructor(
    target: Tokenizer,
    source: Tokenizer,
    { defects = mappingAsPublished }: { defects?: MappingDefects } = {},
  ) {
    this.#target = target;
    this.#source = source;
    this.#defects = defects;
    this.#markers = {
      target: wordMarker(target.tokens),
      source: wordMarker(source.tokens),
    };
  }

  /**
   * Count which tokens meet in a text.
   *
   * @param text A text of the corpus.
   */
  read(text: string): void {
    const ours = this.#target.encode(text).ids;
    const theirs = this.#source.encode(text).ids;
    if (ours.length === 0 || theirs.length === 0) return;
    const { targetToSource } = dtw(
      Array.from(theirs, (id) => this.#bare("source", id)),
      Array.from(ours, (id) => this.#bare("target", id)),
      (source, target, edits) => edits * share(source, target),
    );
    targetToSource.forEach((met, t) => {
      // A token that one position meets twice counts once.
      for (const sourceId of new Set(met.map((s) => theirs[s]!))) {
        this.#counts.add(sourceId, ours[t]!, 1);
      }
    });
  }

  /** Map, after all texts are read. */
  *[Symbol.iterator](): Generator<VocabMappingRow> {
    const spelled = new Map<string, number>();
    this.#target.tokens.forEach((token, id) => {
      if (token && !spelled.has(token)) spelled.set(token, id);
    });
    const roles = new Map(
      (["bos", "eos"] as const).map((role) => [
        this.#source.special[role],
        this.#target.special[role],
      ]),
    );
    for (let sourceId = 0; sourceId < this.#source.vocabSize; sourceId++) {
      const spelling = (this.#source.tokens[sourceId] ?? "")
        .replaceAll(this.#markers.source, this.#markers.target);
      const same = spelled.get(spelling) ?? roles.get(sourceId);
      yield same !== undefined && spelling !== ""
        ? { sourceId, targetId: same, distance: 0, weight: 1 }
        : { sourceId, ...this.#statistical(sourceId) };
    }
  }

  #statistical(sourceId: number): Omit<VocabMappingRow, "sourceId"> {
    const nearFirst = this.#defects["rare-first"]
      ? (cost: number, count: number) => cost * sigmoid(count)
      : (cost: number, count: number) => (1 + cost) / count;
    let best: { targetId: number; distance: number; score: number } | undefined;
    const met = [...this.#counts.row(sourceId)].sort(([a], [b]) => a - b);
    for (const [targetId, count] of met) {
      const distance = this.#costOf(sourceId, targetId);
      const score = nearFirst(distance, count);
      if (!best || score < best.score) best = { targetId, distance, score };
    }
    if (best) {
      return { targetId: best.targetId, distance: best.distance, weight: 1 };
    }
    const { unk, eos } = this.#target.special;
    const isTaught = this.#defects["unseen-to-unknown"] && unk !== undefined &&
      this.#source.tokens[sourceId];
    const targetId = unk ?? eos ?? 0;
    return { targetId, distance: Infinity, weight: isTaught ? 1 : 0 };
  }

  #costOf(sourceId: number, targetId: number): number {
    const [source, target] = [
      this.#bare("source", sourceId),
      this.#bare("target", targetId),
    ];
    const [edits] = new NearestStrings([target]).distances(source);
    return edits! * share(source, target);
  }

  #bare(side: "source" | "target", id: number): string {
    const { tokens } = side === "source" ? this.#source : this.#target;
    return (tokens[id] ?? "").replaceAll(this.#markers[side], "");
  }
}

function share(source: string, target: string): number {
  return source.includes(target) || target.includes(source) ? CONTAINED : 1;
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
