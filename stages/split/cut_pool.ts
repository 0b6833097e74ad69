import type { Block } from "./cut_text.ts";
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

/** What a worker answers. */
export type CutAnswer = { blocks: Block[] } | { error: string };

/** Workers that cut texts, each with tokenizers of its own. */
export class CutPool implements Disposable {
  readonly #workers: Worker[];
  readonly #idle: Worker[];
  readonly #waiting: ((worker: Worker) => void)[] = [];

  /**
   * Start the workers. They load the tokenizers when their first text comes.
   *
   * @param count How many.
   * @param setup What they work with.
   */
  constructor(count: number, setup: CutSetup) {
    this.#workers = Array.from({ length: count }, () => {
      const url = new URL("./cut_worker.ts", import.meta.url);
      const worker = new Worker(url, { type: "module" });
      worker.postMessage(setup);
      return worker;
    });
    this.#idle = [...this.#workers];
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
      await new Promise<Worker>((resolve) => this.#waiting.push(resolve));
    try {
      const answer = await ask(worker, text);
      if ("error" in answer) throw new RangeError(answer.error);
      return answer.blocks;
    } finally {
      const next = this.#waiting.shift();
      if (next) next(worker);
      else this.#idle.push(worker);
    }
  }

  /** Ends the workers. */
  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
  }
}

function ask(worker: Worker, text: string): Promise<CutAnswer> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<CutAnswer>) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    worker.postMessage(text);
  });
}
