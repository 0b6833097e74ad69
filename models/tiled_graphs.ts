import { tilesFor } from "./tiles.ts";

/** What runs a graph. */
export interface GraphRunner {
  /** Free what it holds. */
  close(): Promise<void>;
}

/**
 * One graph for every number of tiles that attention is cut into, opened when
 * sequences first ask for it.
 */
export class TiledGraphs<Opened extends GraphRunner>
  implements AsyncDisposable {
  readonly #open: (tiles: number) => Promise<Opened>;
  readonly #opened = new Map<number, Promise<Opened>>();

  /**
   * Open nothing yet.
   *
   * @param open Builds the graph with so many tiles.
   */
  constructor(open: (tiles: number) => Promise<Opened>) {
    this.#open = open;
  }

  /**
   * The graph that suits sequences.
   *
   * @param length T.
   * @returns What runs it; closed with all others.
   */
  fitting(length: number): Promise<Opened> {
    const tiles = tilesFor(length);
    let opened = this.#opened.get(tiles);
    if (!opened) this.#opened.set(tiles, opened = this.#open(tiles));
    return opened;
  }

  /** Free what they hold. */
  async close(): Promise<void> {
    const opened = await Promise.all(this.#opened.values());
    this.#opened.clear();
    await Promise.all(opened.map((graph) => graph.close()));
  }

  /** Free what they hold. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
