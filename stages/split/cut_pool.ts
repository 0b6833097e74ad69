import { RemoteMethods } from "#/stages/rpc.ts";
import type { Block } from "./cut_text.ts";
import type { CutMethods } from "./cut_worker.ts";
import type { SplitDefects } from "./reference/slice_tokens.ts";

/** What a worker needs to begin. */
export interface CutSetup {
  /** Directories of the tokenizers. */
  directories: readonly string[];
  /** Limit for each. */
  maxTokens: number;
  /** What to do as published. */
  defects: SplitDefects;
}

/** Workers that cut texts, each with tokenizers of its own. */
export class CutPool implements Disposable {
  readonly #workers: readonly RemoteMethods<CutMethods>[];
  readonly #idle: RemoteMethods<CutMethods>[];
  readonly #waiting: ((worker: RemoteMethods<CutMethods>) => void)[] = [];

  private constructor(workers: readonly RemoteMethods<CutMethods>[]) {
    this.#workers = workers;
    this.#idle = [...workers];
  }

  /**
   * Start workers that have loaded the tokenizers.
   *
   * @param count How many.
   * @param setup What they work with.
   * @returns The pool, to be disposed of by the caller.
   * @throws {Error} If a tokenizer cannot be loaded.
   */
  static async open(count: number, setup: CutSetup): Promise<CutPool> {
    using stack = new DisposableStack();
    const url = new URL("./cut_worker.ts", import.meta.url);
    const workers = Array.from(
      { length: count },
      () =>
        stack.use(
          new RemoteMethods<CutMethods>(new Worker(url, { type: "module" })),
        ),
    );
    await Promise.all(workers.map((worker) => worker.call("open", [setup])));
    stack.move();
    return new CutPool(workers);
  }

  /**
   * Cut a text in the next worker that is free.
   *
   * @param text The text.
   * @returns Its blocks, as `cutText()` gives them.
   * @throws {Error} What `cutText()` throws.
   */
  async cut(text: string): Promise<Block[]> {
    const worker = this.#idle.pop() ??
      await new Promise<RemoteMethods<CutMethods>>((resolve) =>
        this.#waiting.push(resolve)
      );
    try {
      return await worker.call("cut", [text]);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(worker);
      else this.#idle.push(worker);
    }
  }

  /** Ends the workers. */
  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker[Symbol.dispose]();
  }
}
