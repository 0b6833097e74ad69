import process from "node:process";
import { Presets, SingleBar } from "cli-progress";

/** How far a long piece of work has come, drawn on stderr. */
export class Progress implements Disposable {
  readonly #bar: SingleBar;
  readonly #unit: string;
  readonly #start = performance.now();

  /**
   * Start a bar.
   *
   * @param label What is being done, such as `represent`.
   * @param total How much there is to do, in `unit`s.
   * @param unit What is counted, such as `tokens`.
   */
  constructor(label: string, total: number, unit: string) {
    this.#unit = unit;
    this.#bar = new SingleBar({
      format: `${label} {bar} {percentage}% | {value}/{total} ${unit} | ` +
        (total > 0 ? "{rate} | {eta_formatted} left {note}" : "nothing to do"),
      etaBuffer: 50,
      hideCursor: true,
      noTTYOutput: true,
      notTTYSchedule: 5000,
      stream: processStderr(),
      emptyOnZero: true,
    }, Presets.shades_classic);
    this.#bar.start(total, 0, { rate: "", note: "" });
  }

  /**
   * Move on.
   *
   * @param amount How much has been done since the last call.
   * @param note A word shown behind the bar, such as the loss.
   */
  advance(amount: number, note = ""): void {
    const seconds = (performance.now() - this.#start) / 1000;
    const done = this.#value() + amount;
    const rate = `${(done / seconds).toPrecision(3)} ${this.#unit}/s`;
    this.#bar.increment(amount, { rate, note });
  }

  /** End the bar where it stands. */
  [Symbol.dispose](): void {
    this.#bar.stop();
  }

  #value(): number {
    return (this.#bar as unknown as { value: number }).value;
  }
}

function processStderr(): NodeJS.WritableStream {
  return process.stderr;
}
