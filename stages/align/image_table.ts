import type { VocabMappingRow } from "#/shards/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import type { RelationImages, TokenImage } from "./token_relation.ts";

/** What {@linkcode ImageTable.exactImage} says of a token that has no such image. */
const NONE = -1;

/** A vocabulary mapping by source token, in flat arrays. */
export class ImageTable implements RelationImages {
  /** Images of a source token at most. */
  readonly most: number;
  /** Whether there are images that are not exact. */
  readonly mapsInexact: boolean;
  /** Where each source token's images begin. */
  readonly #starts: Int32Array;
  readonly #targetIds: Int32Array;
  readonly #distances: Float64Array;
  readonly #weights: Float64Array;
  /** The only image of each source token, where it is exact. */
  readonly #exact: Int32Array;
  /** 1 for each source token with an image at distance 0. */
  readonly #hasExact: Uint8Array;
  readonly #images: (readonly TokenImage[] | undefined)[];

  /**
   * Lay a mapping out.
   *
   * @param mapping Images of every source token; of no weight is as none.
   * @param target The target's tokenizer.
   * @param source The source's tokenizer.
   * @throws {RangeError} If the mapping is not one of these tokenizers.
   */
  constructor(
    mapping: Iterable<VocabMappingRow>,
    target: Tokenizer,
    source: Tokenizer,
  ) {
    const rows = weighted(mapping, target, source);
    const size = source.vocabSize;
    this.#starts = new Int32Array(size + 1);
    for (const { sourceId } of rows) this.#starts[sourceId + 1]!++;
    this.most = this.#starts.reduce((most, n) => Math.max(most, n), 0);
    for (let id = 0; id < size; id++) {
      this.#starts[id + 1]! += this.#starts[id]!;
    }
    this.#targetIds = new Int32Array(rows.length);
    this.#distances = new Float64Array(rows.length);
    this.#weights = new Float64Array(rows.length);
    this.#hasExact = new Uint8Array(size);
    const ends = this.#starts.slice();
    for (const { sourceId, targetId, distance, weight } of rows) {
      const at = ends[sourceId]!++;
      this.#targetIds[at] = targetId;
      this.#distances[at] = distance;
      this.#weights[at] = weight;
      if (distance === 0) this.#hasExact[sourceId] = 1;
    }
    this.mapsInexact = rows.some(({ distance }) => distance > 0);
    this.#exact = new Int32Array(size).fill(NONE);
    for (let id = 0; id < size; id++) {
      const first = this.#starts[id]!;
      const isOnly = this.#starts[id + 1]! - first === 1;
      if (isOnly && this.#hasExact[id]) {
        this.#exact[id] = this.#targetIds[first]!;
      }
    }
    this.#images = Array.from({ length: size }, () => undefined);
  }

  /**
   * Tell whether a source token has an image at distance 0.
   *
   * @param sourceId The source's token.
   * @returns Whether it has.
   */
  hasExact(sourceId: number): boolean {
    return this.#hasExact[sourceId] === 1;
  }

  /** {@inheritDoc RelationImages.exactImage} */
  exactImage(sourceId: number): number {
    return this.#exact[sourceId]!;
  }

  /** {@inheritDoc RelationImages.images} */
  images(sourceId: number): readonly TokenImage[] {
    return this.#images[sourceId] ??= this.#read(sourceId);
  }

  #read(sourceId: number): TokenImage[] {
    const first = this.#starts[sourceId]!;
    return Array.from(
      { length: this.#starts[sourceId + 1]! - first },
      (_, k) => ({
        targetId: this.#targetIds[first + k]!,
        distance: this.#distances[first + k]!,
        weight: this.#weights[first + k]!,
      }),
    );
  }
}

/** The rows that have a weight, once all have been checked. */
function weighted(
  mapping: Iterable<VocabMappingRow>,
  target: Tokenizer,
  source: Tokenizer,
): VocabMappingRow[] {
  const rows: VocabMappingRow[] = [];
  const isMapped = new Uint8Array(source.vocabSize);
  for (const row of mapping) {
    checkId("source", row.sourceId, source);
    checkId("target", row.targetId, target);
    isMapped[row.sourceId] = 1;
    if (row.weight > 0) rows.push(row);
  }
  const missing = isMapped.indexOf(0);
  if (missing >= 0) {
    throw new RangeError(
      `Cannot align with the vocabulary mapping: it has no image of token ` +
        `${missing}, expected one of each of the ${source.vocabSize} of ` +
        source.directory,
    );
  }
  return rows;
}

function checkId(
  role: string,
  id: number,
  { vocabSize, directory }: Tokenizer,
): void {
  if (id >= 0 && id < vocabSize) return;
  throw new RangeError(
    `Cannot align with the vocabulary mapping: it names ${role} token ${id}, ` +
      `expected ids below ${vocabSize}, as in ${directory}`,
  );
}
