import { concat, splitEqually, type Value } from "#/onnx/mod.ts";

/** Some consecutive queries, and the keys that the last of them may see. */
export interface Tile {
  /** Which of the tiles. */
  readonly index: number;
  /** How many there are; one holds all queries, and keys of earlier passes too. */
  readonly count: number;
}

/**
 * In how many tiles attention goes best through sequences. n of them multiply
 * (n + 1) / 2n of what one does, in n times as many operations.
 *
 * @param length T.
 * @returns A power of two.
 */
export function tilesFor(length: number): number {
  if (length < SHORTEST_TILED) return 1;
  const most = 2 ** Math.floor(Math.log2(length / SHORTEST_TILE));
  return Math.min(MOST_TILES, most);
}

/** Shorter sequences gain little. */
const SHORTEST_TILED = 512;

/** Queries of a tile at least. */
const SHORTEST_TILE = 128;

/** Of 16 tiles, that save 3 % of the products over 8, the operations cost more. */
const MOST_TILES = 8;

/**
 * What the sizes of tiles are called in shapes, and what they stand for: all tiles
 * are as long but the last.
 *
 * @param length T.
 * @param count Tiles.
 * @returns Sizes by name.
 */
export function tileSizes(
  length: number,
  count: number,
): Record<"tile" | "rest", number> {
  const tile = Math.ceil(length / count);
  return { tile, rest: length - (count - 1) * tile };
}

/**
 * Cut an axis of T entries by tiles.
 *
 * @param x Any shape.
 * @param axis Which axis.
 * @param count Tiles; at most √T, so that none is empty.
 * @returns Every tile's part.
 */
export function cutTiles(x: Value, axis: number, count: number): Value[] {
  if (count === 1) return [x];
  const sizes = Array.from(
    { length: count },
    (_, index) => index < count - 1 ? "tile" : "rest",
  );
  return splitEqually(x, axis, sizes);
}

/**
 * Join what tiles up to one have.
 *
 * @param parts Every tile's part.
 * @param axis Along which axis.
 * @param tile The last to be joined.
 * @returns The joined part.
 */
export function joinTiles(
  parts: readonly Value[],
  axis: number,
  { index, count }: Tile,
): Value {
  if (index === 0) return parts[0]!;
  const size = index < count - 1 ? `${index + 1}*tile` : "T";
  return concat(parts.slice(0, index + 1), axis, size);
}
