import type {
  SinkhornOptions,
  SinkhornOutput,
  TransportProblems,
} from "#/kernels/mod.ts";

/** Where transport is solved. */
export type TransportDevice = "auto" | "cpu" | "webgpu";

/** What the worker is asked. */
export type TransportRequest =
  | { device: TransportDevice }
  | { problems: TransportProblems; options: SinkhornOptions };

/** What the worker answers. */
export type TransportAnswer =
  | { gpu: string | undefined }
  | { output: SinkhornOutput }
  | { error: string; isRange: boolean };

/**
 * Solves transport problems in a worker: on the GPU, which blocks the thread
 * that waits for it, or on the CPU, while the next ones are prepared here.
 */
export class TransportSolver implements Disposable {
  /** Name of the GPU; `undefined` on the CPU. */
  readonly gpu: string | undefined;
  readonly #worker: Worker;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(worker: Worker, gpu: string | undefined) {
    this.#worker = worker;
    this.gpu = gpu;
  }

  /**
   * Start the worker.
   *
   * @param device Where to solve; `auto` is WebGPU where there is an adapter.
   * @returns The solver.
   * @throws {Error} If there is no adapter and one is asked for.
   */
  static async open(device: TransportDevice): Promise<TransportSolver> {
    const url = new URL("./transport_worker.ts", import.meta.url);
    const worker = new Worker(url, { type: "module" });
    try {
      const answer = await ask(worker, { device });
      return new TransportSolver(worker, "gpu" in answer ? answer.gpu : "");
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  /**
   * Solve a batch; one after another.
   *
   * @param problems The batch, whose arrays move to the worker.
   * @param options How to solve.
   * @returns The solutions.
   * @throws {RangeError} If an option is out of its range.
   */
  async solve(
    problems: TransportProblems,
    options: SinkhornOptions,
  ): Promise<SinkhornOutput> {
    const { cost, a, b } = problems;
    const moved = [cost.buffer, a.buffer, b.buffer];
    const answer = this.#last.then(() =>
      ask(this.#worker, { problems, options }, moved)
    );
    this.#last = answer.catch(() => {});
    return (await answer as { output: SinkhornOutput }).output;
  }

  /** End the worker. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

function ask(
  worker: Worker,
  request: TransportRequest,
  moved: ArrayBuffer[] = [],
): Promise<TransportAnswer> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<TransportAnswer>) => {
      if (!("error" in data)) resolve(data);
      else reject(new (data.isRange ? RangeError : Error)(data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    worker.postMessage(request, moved);
  });
}
