/** What {@linkcode learnMerges} starts from. */
export interface MergeProblem {
  /** The distinct words, each a list of symbol ids below `symbols`. */
  words: readonly Uint32Array[];
  /** How often each word occurs. */
  counts: readonly number[];
  /** How many symbols there are before the first merge. */
  symbols: number;
  /** How many merges to learn at most. */
  merges: number;
  /** Whether two symbols may become one; all may by default. */
  mayMerge?: (left: number, right: number) => boolean;
}

/** Pairs are keys `left · 2^20 + right`: a vocabulary stays below 2^20. */
const RADIX = 2 ** 20;

/**
 * Learn the merges of byte pair encoding.
 *
 * The most frequent adjacent pair becomes a new symbol, again and again; of
 * equally frequent ones the pair with the smaller left, then right id. Symbol
 * `symbols + m` is what merge m makes. Stops early where no pair occurs twice.
 *
 * @param problem Words, counts and how many merges to learn.
 * @returns The merged pairs in order, `[left, right]`.
 * @see Sennrich et al. 2016, {@link https://arxiv.org/abs/1508.07909}.
 */
export function learnMerges(problem: MergeProblem): [number, number][] {
  const words = problem.words.map((word) => Uint32Array.from(word));
  const lengths = words.map((word) => word.length);
  const pairs = new PairCounts(problem.mayMerge);
  words.forEach((word, index) => {
    for (let at = 0; at + 1 < word.length; at++) {
      pairs.add(word[at]!, word[at + 1]!, problem.counts[index]!, index);
    }
  });

  const merges: [number, number][] = [];
  while (merges.length < problem.merges) {
    const best = pairs.popBest();
    if (best === undefined) break;
    const [left, right] = [Math.floor(best / RADIX), best % RADIX];
    const merged = problem.symbols + merges.length;
    merges.push([left, right]);
    for (const index of pairs.wordsWith(best)) {
      lengths[index] = replacePair(
        words[index]!.subarray(0, lengths[index]),
        { left, right, merged },
        (a, b, sign) => pairs.add(a, b, sign * problem.counts[index]!, index),
      );
    }
    pairs.settle();
  }
  return merges;
}

/** Replaces a pair within a word and reports the pairs lost and won. */
function replacePair(
  word: Uint32Array,
  { left, right, merged }: { left: number; right: number; merged: number },
  change: (left: number, right: number, sign: number) => void,
): number {
  const old = word.slice();
  let length = 0;
  for (let at = 0; at < old.length; at++) {
    const isPair = old[at] === left && old[at + 1] === right;
    word[length++] = isPair ? merged : old[at]!;
    if (isPair) at++;
  }
  if (length === old.length) return length;
  for (let at = 0; at + 1 < old.length; at++) {
    change(old[at]!, old[at + 1]!, -1);
  }
  for (let at = 0; at + 1 < length; at++) change(word[at]!, word[at + 1]!, 1);
  return length;
}

/** Counts of pairs, the words they are in, and a heap of the frequent ones. */
class PairCounts {
  readonly #counts = new Map<number, number>();
  readonly #words = new Map<number, Set<number>>();
  readonly #heap = new PairHeap();
  readonly #grown = new Set<number>();
  readonly #mayMerge: (left: number, right: number) => boolean;
  #isSettled = false;

  constructor(mayMerge: MergeProblem["mayMerge"]) {
    this.#mayMerge = mayMerge ?? (() => true);
  }

  add(left: number, right: number, count: number, word: number): void {
    if (!this.#mayMerge(left, right)) return;
    const key = left * RADIX + right;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
    if (count < 0) return;
    this.#grown.add(key);
    const words = this.#words.get(key);
    if (words) words.add(word);
    else this.#words.set(key, new Set([word]));
  }

  /** Puts what has grown since the last call on the heap. */
  settle(): void {
    for (const key of this.#grown) {
      const count = this.#counts.get(key)!;
      if (count > 1) this.#heap.push(key, count);
    }
    this.#grown.clear();
    this.#isSettled = true;
  }

  popBest(): number | undefined {
    if (!this.#isSettled) this.settle();
    for (let top = this.#heap.pop(); top; top = this.#heap.pop()) {
      const count = this.#counts.get(top.key) ?? 0;
      if (count === top.count) return top.key;
      // A count that shrank since it was pushed goes back at its true place.
      if (count > 1 && count < top.count) this.#heap.push(top.key, count);
    }
    return undefined;
  }

  wordsWith(key: number): Iterable<number> {
    const words = this.#words.get(key) ?? new Set<number>();
    this.#words.delete(key);
    return words;
  }
}

/** A binary heap: largest count first, then smallest key. */
class PairHeap {
  readonly #entries: { key: number; count: number }[] = [];

  push(key: number, count: number): void {
    const entries = this.#entries;
    let at = entries.push({ key, count }) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entries[at]!, entries[parent]!)) return;
      [entries[at], entries[parent]] = [entries[parent]!, entries[at]!];
      at = parent;
    }
  }

  pop(): { key: number; count: number } | undefined {
    const entries = this.#entries;
    const top = entries[0];
    const last = entries.pop();
    if (!top || !last || entries.length === 0) return top;
    entries[0] = last;
    for (let at = 0;;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let first = at;
      for (const child of [left, right]) {
        const entry = entries[child];
        if (entry && isBefore(entry, entries[first]!)) first = child;
      }
      if (first === at) return top;
      [entries[at], entries[first]] = [entries[first]!, entries[at]!];
      at = first;
    }
  }
}

function isBefore(
  one: { key: number; count: number },
  other: { key: number; count: number },
): boolean {
  return one.count > other.count ||
    (one.count === other.count && one.key < other.key);
}
