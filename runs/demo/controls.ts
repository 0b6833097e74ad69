import {
  type AlignedRow,
  datasets,
  readRows,
  writeDataset,
} from "#/shards/mod.ts";

/** Deals out new places: `order[i]` is where place i takes its content from. */
function permutation(length: number, random: () => number): number[] {
  const order = Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** A multiplicative congruential generator: enough to shuffle with. */
function lehmer(seed: number): () => number {
  let state = seed + 1;
  return () => (state = state * 48271 % 2147483647) / 2147483647;
}

function shuffled(row: AlignedRow, random: () => number): AlignedRow {
  const { topK } = row;
  const taught = [...row.weight.keys()].filter((t) => row.weight[t]! > 0);
  const order = permutation(taught.length, random);
  const topkIds = row.topkIds.slice();
  const topkLogprobs = row.topkLogprobs.slice();
  taught.forEach((to, i) => {
    const from = taught[order[i]!]!;
    const [first, end] = [from * topK, (from + 1) * topK];
    topkIds.set(row.topkIds.subarray(first, end), to * topK);
    topkLogprobs.set(row.topkLogprobs.subarray(first, end), to * topK);
  });
  return { ...row, topkIds, topkLogprobs };
}

/**
 * Control: a teacher that is as sure of itself as the real one and as often
 * there, but speaks about another position of the same block.
 *
 * @param aligned A dataset of aligned distributions.
 * @param out Where the shuffled one goes.
 * @param seed Of the permutations.
 */
export async function shuffleTeacher(
  aligned: string,
  out: string,
  seed: number,
): Promise<void> {
  const random = lehmer(seed);
  async function* rows(): AsyncGenerator<AlignedRow> {
    for await (const row of readRows(aligned, datasets.aligned)) {
      yield shuffled(row, random);
    }
  }
  await writeDataset({
    out,
    stage: "shuffle-teacher",
    options: { seed },
    inputs: { aligned },
    schema: datasets.aligned,
    rowsPerShard: Number.MAX_SAFE_INTEGER,
  }, rows);
}
