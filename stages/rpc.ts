/** One call on its way to a worker. */
interface Call {
  id: number;
  method: string;
  args: readonly unknown[];
}

/** Its answer. */
type Answer =
  | { id: number; result: unknown }
  | { id: number; error: { name: string; message: string; stack?: string } };

/** What a worker offers: functions by name. */
export type Methods = Record<string, (...args: never[]) => Promise<unknown>>;

/** The scope of a worker, as far as it is used. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Call>) => void) | null;
  postMessage(message: Answer, transfer: ArrayBuffer[]): void;
}

/**
 * The buffers of arrays.
 *
 * @param record Whatever has arrays for properties.
 * @returns One for each of its arrays.
 */
export function buffersOf(record: object): ArrayBuffer[] {
  return Object.values(record).flatMap((value) =>
    ArrayBuffer.isView(value) ? [value.buffer as ArrayBuffer] : []
  );
}

/**
 * Give the memory of arrays back now, not when it is swept.
 *
 * @param record Whatever has arrays for properties, which are empty afterwards.
 */
export function release(record: object): void {
  for (const buffer of buffersOf(record)) buffer.transfer(0);
}

/** Classes of errors that keep their class across the border. */
const ERRORS: Record<string, ErrorConstructor> = {
  RangeError,
  SyntaxError,
  TypeError,
};

/**
 * Answer calls in this worker, one after another.
 *
 * @param methods What it offers.
 * @param transfer The buffers of a result that are moved, not copied. Defaults
 * to none.
 */
export function serve(
  methods: Methods,
  transfer: (result: unknown) => ArrayBuffer[] = () => [],
): void {
  const scope = globalThis as unknown as WorkerScope;
  detachEarly();
  let last: Promise<void> = Promise.resolve();
  scope.onmessage = ({ data }) => {
    last = last.then(async () => {
      const message = await answer(methods, data);
      const moved = "result" in message ? transfer(message.result) : [];
      scope.postMessage(message, moved);
    });
  };
}

/**
 * V8 forgets all code for typed arrays when the first buffer with several views
 * is taken away: let that be before there is any.
 */
function detachEarly(): void {
  const { buffer } = new Uint8Array(8);
  new Uint8Array(buffer).set([1]);
  buffer.transfer(0);
}

async function answer(
  methods: Methods,
  { id, method, args }: Call,
): Promise<Answer> {
  try {
    return { id, result: await methods[method]!(...args as never[]) };
  } catch (error) {
    const { name, message, stack } = error instanceof Error
      ? error
      : new Error(String(error));
    return { id, error: { name, message, ...stack && { stack } } };
  }
}

/** A worker whose methods one can call. */
export class RemoteMethods<Offered extends Methods> implements Disposable {
  readonly #worker: Worker;
  readonly #waiting = new Map<
    number,
    { resolve: (result: never) => void; reject: (error: Error) => void }
  >();
  #calls = 0;
  #failure: Error | undefined;

  /**
   * Start a worker.
   *
   * @param worker A fresh worker that calls {@linkcode serve}.
   */
  constructor(worker: Worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#settle(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(
        new Error(`Cannot go on, as a worker failed: ${event.message}`),
      );
    };
  }

  /**
   * Call a method.
   *
   * @param method Its name.
   * @param args Its arguments.
   * @param transfer Buffers that are moved, not copied.
   * @returns What it returns.
   * @throws {Error} What it throws, or if the worker dies.
   */
  call<Name extends keyof Offered & string>(
    method: Name,
    args: Parameters<Offered[Name]>,
    transfer: readonly ArrayBuffer[] = [],
  ): ReturnType<Offered[Name]> {
    const id = this.#calls++;
    const promise = new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, args }, [...transfer]);
    });
    return promise as ReturnType<Offered[Name]>;
  }

  /** End the worker; calls without an answer fail. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
    this.#fail(new Error("Cannot call a worker that has ended"));
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ("error" in answer) waiting?.reject(revive(answer.error));
    else waiting?.resolve(answer.result as never);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function revive(
  { name, message, stack }: { name: string; message: string; stack?: string },
): Error {
  const error = new (ERRORS[name] ?? Error)(message);
  if (stack) error.stack = stack;
  return error;
}
