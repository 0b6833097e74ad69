import type { VocabMappingRow } from "#/shards/mod.ts";
import type { CostTable } from "./cost_table.ts";

/** A target token that takes mass of a source token. */
export type TokenImage = Omit<VocabMappingRow, "sourceId">;

/** How the tokens of a source relate to those of a target, at some kind of position. */
export interface TokenRelation {
  /**
   * The target tokens that stand for a source token.
   *
   * @param sourceId The source's token.
   * @returns Images of positive weight; none if the token's mass has nowhere to go.
   */
  images(sourceId: number): readonly TokenImage[];
  /**
   * The target token that stands for a source token, where it is the only one
   * and exact.
   *
   * @param sourceId The source's token.
   * @returns Its image, or −1 where {@linkcode TokenRelation.images} says more.
   */
  exactImage(sourceId: number): number;
  /**
   * What it costs to move mass from a source token to target tokens: 0 to an
   * exact image, else at least 1, in edits.
   *
   * @param sourceId The source's token.
   * @param targetIds Tokens of the target.
   * @param into Where to write the cost of each.
   * @param first The entry to begin with. Defaults to 0.
   */
  costs(
    sourceId: number,
    targetIds: ArrayLike<number>,
    into: Float32Array,
    first?: number,
  ): void;
  /**
   * Select target tokens for {@linkcode TokenRelation.row}.
   *
   * @param targetIds Tokens of the target.
   * @param count How many there are.
   */
  select(targetIds: ArrayLike<number>, count: number): void;
  /**
   * What it costs to move mass from a source token to those that are selected.
   *
   * @param sourceId The source's token.
   * @param into Where to write the cost of each.
   * @param first The entry to begin with.
   * @param reach Of interest are costs up to this above the least: the others
   * may come out as any such.
   */
  row(
    sourceId: number,
    into: Float32Array,
    first: number,
    reach: number,
  ): void;
}

/** The images of a relation. */
export type RelationImages = Pick<TokenRelation, "images" | "exactImage">;

/** A relation whose costs are in a table, but for exact images. */
export class TableRelation implements TokenRelation {
  readonly #images: RelationImages;
  readonly #table: CostTable;
  #targetIds: ArrayLike<number> = [];
  #count = 0;

  /**
   * Put together.
   *
   * @param images The images.
   * @param table All other costs.
   */
  constructor(images: RelationImages, table: CostTable) {
    this.#images = images;
    this.#table = table;
  }

  /** {@inheritDoc TokenRelation.images} */
  images(sourceId: number): readonly TokenImage[] {
    return this.#images.images(sourceId);
  }

  /** {@inheritDoc TokenRelation.exactImage} */
  exactImage(sourceId: number): number {
    return this.#images.exactImage(sourceId);
  }

  /** {@inheritDoc TokenRelation.costs} */
  costs(
    sourceId: number,
    targetIds: ArrayLike<number>,
    into: Float32Array,
    first: number = 0,
  ): void {
    this.select(targetIds, targetIds.length);
    this.row(sourceId, into, first, Infinity);
  }

  /** {@inheritDoc TokenRelation.select} */
  select(targetIds: ArrayLike<number>, count: number): void {
    this.#targetIds = targetIds;
    this.#count = count;
    this.#table.select(targetIds, count);
  }

  /** {@inheritDoc TokenRelation.row} */
  row(
    sourceId: number,
    into: Float32Array,
    first: number,
    reach: number,
  ): void {
    const only = this.#slotOf(this.exactImage(sourceId));
    if (only >= 0) {
      // The least cost is known: that of the exact image.
      this.#table.row(sourceId, into, first, reach);
      into[first + only] = 0;
      return;
    }
    this.#table.row(sourceId, into, first, Infinity);
    for (const { targetId, distance } of this.images(sourceId)) {
      const slot = distance > 0 ? -1 : this.#slotOf(targetId);
      if (slot >= 0) into[first + slot] = 0;
    }
  }

  #slotOf(targetId: number): number {
    for (let slot = 0; slot < this.#count; slot++) {
      if (this.#targetIds[slot] === targetId) return slot;
    }
    return -1;
  }
}
