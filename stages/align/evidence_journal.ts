import { EVIDENCE_COUNTS, type EvidenceCounts } from "./evidence.ts";

const RECORD = EVIDENCE_COUNTS * Float64Array.BYTES_PER_ELEMENT;

/**
 * The evidence up to every row of a dataset that is being written, in a file
 * beside it: a run that goes on behind the rows that are there goes on from
 * what was known of them, too.
 *
 * A record holds the sums over all rows so far, in this machine's byte order.
 */
export class EvidenceJournal implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #sums: EvidenceCounts;

  /**
   * Open the journal, and forget what it says of later rows.
   *
   * @param path The file, which need not exist.
   * @param rows Rows that are there.
   */
  constructor(path: string, rows: number) {
    const options = { read: true, write: true, create: true };
    this.#file = Deno.openSync(path, options);
    // Rows it says nothing of, as an earlier version has written them, are zeros.
    this.#file.truncateSync(rows * RECORD);
    const last = new Uint8Array(RECORD);
    if (rows > 0) {
      this.#file.seekSync((rows - 1) * RECORD, Deno.SeekMode.Start);
      this.#file.readSync(last);
    }
    this.#sums = new Float64Array(last.buffer);
  }

  /** The sums over all rows so far. */
  get counts(): EvidenceCounts {
    return this.#sums.slice();
  }

  /**
   * Add a row's evidence.
   *
   * @param counts What was counted of it.
   */
  add(counts: EvidenceCounts): void {
    counts.forEach((count, k) => this.#sums[k]! += count);
    this.#file.writeSync(new Uint8Array(this.#sums.buffer));
  }

  /** Close the file, which stays. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}
