import { type AlignedRow, datasets, readRows } from "#/shards/mod.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";

/** What teachers say of the text that a student learns on. */
export interface TeacherFacts {
  /** Share of the labelled rows that learn from a source, where one is best. */
  taught: number;
  /** Bits per byte of the best model's documents by domain, as it is taught. */
  bits_per_byte: Record<string, number>;
}

/** Bits and bytes of a domain. */
interface Sum {
  bits: number;
  bytes: number;
}

/**
 * How well the teachers of a student predict the text that it learns on, by
 * what it is told of them, without any training.
 *
 * As in `min-ce` every document is taught by the model with the lowest bits per
 * byte. A label gets what the aligned distribution gives it, its share of the
 * residual (spread evenly over the rest of the vocabulary) where it is none of
 * the top k; where nothing is said, what the target itself gives it.
 *
 * @param target Directory of the target.
 * @param representations The target's.
 * @param aligned Aligned datasets, one a source.
 * @returns Shares and bits.
 */
export async function teacherBits(
  target: string,
  representations: string,
  aligned: readonly string[],
): Promise<TeacherFacts> {
  const { vocabSize } = await loadTokenizer(target);
  const sources = aligned.map((directory) =>
    readRows(directory, datasets.aligned)
  );
  const domains: Record<string, Sum> = {};
  let [labelled, taught] = [0, 0];
  for await (const row of readRows(representations, datasets.representations)) {
    const said = await Promise.all(
      sources.map(async (source) => (await source.next()).value as AlignedRow),
    );
    const best = said.reduce<AlignedRow | undefined>(
      (least, each) =>
        each.bitsPerByte < (least ?? row).bitsPerByte ? each : least,
      undefined,
    );
    const domain = domains[row.id.split("/")[0]!] ??= { bits: 0, bytes: 0 };
    domain.bytes += row.byteEnds.at(-1)!;
    for (let t = 0; t + 1 < row.inputIds.length; t++) {
      const isTaught = best !== undefined && best.weight[t]! > 0;
      if (best) labelled++;
      if (isTaught) taught++;
      const logprob = isTaught
        ? taughtLogprob(best, t, row.inputIds[t + 1]!, vocabSize)
        : row.labelLogprobs[t]!;
      domain.bits -= logprob / Math.LN2;
    }
  }
  return {
    taught: labelled > 0 ? taught / labelled : 0,
    bits_per_byte: Object.fromEntries(
      Object.entries(domains).map(([name, { bits, bytes }]) =>
        [name, bits / bytes] as const
      ),
    ),
  };
}

function taughtLogprob(
  { topK, topkIds, topkLogprobs }: AlignedRow,
  t: number,
  label: number,
  vocabSize: number,
): number {
  let [sum, stored] = [0, 0];
  for (let k = t * topK; k < (t + 1) * topK; k++) {
    if (topkIds[k] === label) return topkLogprobs[k]!;
    if (topkIds[k]! < 0) continue;
    sum += Math.exp(topkLogprobs[k]!);
    stored++;
  }
  return Math.log(Math.max(1 - sum, SMALLEST) / (vocabSize - stored));
}

/** What the tail is held above: a teacher may be surer than f16 can tell. */
const SMALLEST = 2 ** -11;
