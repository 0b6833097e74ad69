const SCRIPTS = new URL("./peers/", import.meta.url);

/** Interpreters that are tried; Debian's first, as it has Debian's packages. */
const INTERPRETERS = ["/usr/bin/python3", "python3"];

/** What a call came to. */
export interface PeerAnswer<Result> {
  /** How long the peer says it took, without the way there and back. */
  seconds: number;
  /** What it returned. */
  result: Result;
}

/** A Python script of `bench/peers/` that answers calls. */
export class PythonPeer implements AsyncDisposable {
  /** What it runs on: versions of Python and of packages. */
  readonly versions: string;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncGenerator<string>;

  private constructor(
    process: Deno.ChildProcess,
    lines: AsyncGenerator<string>,
    versions: string,
  ) {
    this.#process = process;
    this.#writer = process.stdin.getWriter();
    this.#lines = lines;
    this.versions = versions;
  }

  /**
   * Start a peer.
   *
   * @param script Its file in `bench/peers/`.
   * @returns The peer, or `undefined` where Python or a package is missing.
   */
  static async open(script: string): Promise<PythonPeer | undefined> {
    for (const interpreter of INTERPRETERS) {
      const process = spawn(interpreter, script);
      if (!process) continue;
      const lines = linesOf(process.stdout);
      const { value, done } = await lines.next();
      if (!done) return new PythonPeer(process, lines, JSON.parse(value).ready);
      await process.stdin.close().catch(() => {});
      await process.status;
    }
    return undefined;
  }

  /**
   * Call a function.
   *
   * @param name Its name.
   * @param args Its arguments, as JSON can say them.
   * @returns What it returned, and how long it took.
   * @throws {Error} What it raised.
   */
  async call<Result>(
    name: string,
    args: Record<string, unknown>,
  ): Promise<PeerAnswer<Result>> {
    const line = JSON.stringify({ name, arguments: args }) + "\n";
    await this.#writer.write(new TextEncoder().encode(line));
    const { value, done } = await this.#lines.next();
    const answer = done ? { error: "it has ended" } : JSON.parse(value);
    if (answer.error) throw new Error(`Cannot ask the peer: ${answer.error}`);
    return answer;
  }

  /** End it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    await this.#lines.return(undefined);
    await this.#process.status;
  }
}

function spawn(
  interpreter: string,
  script: string,
): Deno.ChildProcess | undefined {
  try {
    return new Deno.Command(interpreter, {
      args: [new URL(script, SCRIPTS).pathname],
      env: { PYTHONDONTWRITEBYTECODE: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function* linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  // A line may be megabytes long: its pieces are joined once.
  let pieces: string[] = [];
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const [first, ...others] = text.split("\n");
    pieces.push(first!);
    for (const other of others) {
      yield pieces.join("");
      pieces = [other];
    }
  }
}
