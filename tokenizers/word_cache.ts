/**
 * Remembers how words are written, as many of the last ones as there is room for.
 *
 * Half of the room is for words that were used of late. When it is full, its
 * words take the place of the other half, whose words are forgotten. So nothing
 * moves while the same words come again, as they do in text; the library's own
 * cache takes a quarter of the time to encode, as it reorders at every word.
 */
export class WordCache<Value> {
  readonly #half: number;
  #recent = new Map<string, Value>();
  #older = new Map<string, Value>();

  /**
   * Start empty.
   *
   * @param capacity Words at most, even.
   */
  constructor(capacity: number) {
    this.#half = capacity / 2;
  }

  /**
   * Look a word up.
   *
   * @param word The word.
   * @returns What was put there, or `undefined`.
   */
  get(word: string): Value | undefined {
    const recent = this.#recent.get(word);
    if (recent !== undefined) return recent;
    const older = this.#older.get(word);
    if (older !== undefined) this.put(word, older);
    return older;
  }

  /**
   * Remember a word.
   *
   * @param word The word.
   * @param value What it becomes.
   */
  put(word: string, value: Value): void {
    this.#recent.set(word, value);
    if (this.#recent.size < this.#half) return;
    this.#older = this.#recent;
    this.#recent = new Map();
  }

  /** Forget all words. */
  clear(): void {
    this.#recent.clear();
    this.#older.clear();
  }
}
