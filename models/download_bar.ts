import process from "node:process";
import { Presets, SingleBar } from "cli-progress";
import type { DownloadProgress } from "./hub.ts";

/** How far a download has come, drawn on stderr in megabytes. */
export class DownloadBar implements Disposable {
  readonly #bar: SingleBar;

  /**
   * Start a bar.
   *
   * @param id The model.
   * @param total Bytes of all files.
   */
  constructor(id: string, total: number) {
    this.#bar = new SingleBar({
      format: `download ${id} {bar} {percentage}% | {value}/{total} MB | ` +
        "{eta_formatted} left {file}",
      hideCursor: true,
      noTTYOutput: true,
      notTTYSchedule: 5000,
      stream: process.stderr,
    }, Presets.shades_classic);
    this.#bar.start(Math.ceil(total / 1e6), 0, { file: "" });
  }

  /**
   * Move on.
   *
   * @param progress The file and how many bytes are there.
   */
  show({ file, done }: DownloadProgress): void {
    this.#bar.update(Math.ceil(done / 1e6), { file });
  }

  /** End the bar where it stands. */
  [Symbol.dispose](): void {
    this.#bar.stop();
  }
}
