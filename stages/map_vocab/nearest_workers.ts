import { RemoteMethods } from "#/stages/rpc.ts";
import { flatStrings, type NearestStrings } from "./flat_strings.ts";
import type { NearestMethods } from "./nearest_worker.ts";

/** Workers that find the nearest of many byte strings, as `NearestBytes` does. */
export class NearestWorkers implements Disposable {
  readonly #workers: readonly RemoteMethods<NearestMethods>[];
  readonly #calls: number[];

  /**
   * Start workers, which index the candidates.
   *
   * @param count How many.
   * @param candidates At least one; ties go to the earlier.
   */
  constructor(count: number, candidates: readonly Uint8Array[]) {
    const url = new URL("./nearest_worker.ts", import.meta.url);
    const flat = flatStrings(candidates);
    this.#workers = Array.from({ length: count }, () => {
      const worker = new Worker(url, { type: "module" });
      const remote = new RemoteMethods<NearestMethods>(worker);
      remote.call("open", [flat]).catch(() => {}); // thrown by `find`, too
      return remote;
    });
    this.#calls = this.#workers.map(() => 0);
  }

  /**
   * Find the nearest candidates in the worker that has least to do.
   *
   * @param queries Any byte strings.
   * @returns One candidate for each.
   */
  async find(queries: readonly Uint8Array[]): Promise<NearestStrings> {
    const idlest = this.#calls.indexOf(Math.min(...this.#calls));
    this.#calls[idlest]!++;
    try {
      return await this.#workers[idlest]!.call("find", [flatStrings(queries)]);
    } finally {
      this.#calls[idlest]!--;
    }
  }

  /** End the workers. */
  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker[Symbol.dispose]();
  }
}
