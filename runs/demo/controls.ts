import {
  type AlignedRow,
  datasets,
  readRows,
  type RepresentationRow,
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

/** A teacher that knows the label and spreads `smoothing` over all else. */
function smoothed(
  { id, inputIds }: RepresentationRow,
  smoothing: number,
): AlignedRow {
  const length = inputIds.length;
  const perRow = (labelled: number, last: number) =>
    new Float32Array(length).fill(labelled).fill(last, -1);
  return {
    id,
    topK: 1,
    topkIds: inputIds.map((_, t) => inputIds[t + 1] ?? -1),
    topkLogprobs: perRow(Math.log(1 - smoothing), -Infinity),
    weight: perRow(1, 0),
    marginalError: new Float32Array(length),
    labelLogprobs: new Float32Array(length).fill(NaN),
    bitsPerByte: 0,
  };
}

/**
 * Control: label smoothing. Nobody's knowledge, only less certainty: the label
 * has probability 1 − s and the tail, one bucket, has s.
 *
 * @param representations The target's representations, for the labels.
 * @param out Where the dataset goes.
 * @param smoothing s.
 */
export async function smoothLabels(
  representations: string,
  out: string,
  smoothing: number,
): Promise<void> {
  async function* rows(): AsyncGenerator<AlignedRow> {
    for await (
      const row of readRows(representations, datasets.representations)
    ) yield smoothed(row, smoothing);
  }
  await writeDataset({
    out,
    stage: "smooth-labels",
    options: { smoothing },
    inputs: { representations },
    schema: datasets.aligned,
    rowsPerShard: Number.MAX_SAFE_INTEGER,
  }, rows);
}
