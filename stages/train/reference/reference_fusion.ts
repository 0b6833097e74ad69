import { bfloat16 } from "#/stages/bfloat16.ts";

/**
 * What the published fusion does that is thought to be wrong, one switch each.
 * Switched off, it does the other thing named here.
 */
export const fusionDefects = {
  "loss-per-token":
    "models are compared by nats per token of their own, not by bits per byte",
  "f16-metrics": "losses are averaged in f16",
  "chunk-choice":
    "one model is chosen for all documents of a chunk, not for each",
  "bf16-rewards": "rewards are computed in bfloat16, so that many are equal",
  "softmax-of-rewards":
    "shares are a softmax of exp(−loss), nearly even, not of −loss",
} as const;

/** A name of a defect. */
export type FusionDefect = keyof typeof fusionDefects;

/** Which of the fusion's defects are switched on. */
export type FusionDefects = Readonly<Record<FusionDefect, boolean>>;

/** Everything as published. */
export const fusionAsPublished: FusionDefects = {
  "loss-per-token": true,
  "f16-metrics": true,
  "chunk-choice": true,
  "bf16-rewards": true,
  "softmax-of-rewards": true,
};

/** What a model made of a document. */
export interface DocumentLoss {
  /** Logprobs of the labels, `[T]`; NaN where there is none. */
  labelLogprobs: ArrayLike<number>;
  /** UTF-8 bytes of the document. */
  bytes: number;
}

/**
 * Say how badly a model does on a document.
 *
 * @param loss What it made of it.
 * @param defects Which defects to reproduce. Defaults to all.
 * @returns Nats per token, as published, or bits per byte; NaN without a label.
 */
export function documentMetric(
  { labelLogprobs, bytes }: DocumentLoss,
  defects: FusionDefects = fusionAsPublished,
): number {
  const round = defects["f16-metrics"] ? Math.f16round : Number;
  let sum = 0;
  let count = 0;
  for (let t = 0; t < labelLogprobs.length; t++) {
    if (Number.isNaN(labelLogprobs[t]!)) continue;
    sum += round(-labelLogprobs[t]!);
    count++;
  }
  return defects["loss-per-token"]
    ? round(round(sum) / round(count))
    : sum / Math.LN2 / bytes;
}

/**
 * Hand the documents' metrics to the rows of a packed chunk.
 *
 * @param metrics The metric of each row's document, `[L]`.
 * @param defects Which defects to reproduce. Defaults to all.
 * @returns The metric that counts at each row, `[L]`: the chunk's mean, as
 * published.
 */
export function chunkMetrics(
  metrics: readonly number[],
  defects: FusionDefects = fusionAsPublished,
): number[] {
  if (!defects["chunk-choice"]) return [...metrics];
  const mean = metrics.reduce((sum, each) => sum + each, 0) / metrics.length;
  return metrics.map(() => mean);
}

/**
 * Reward models for low metrics: exp(−metric).
 *
 * @param metrics One a model.
 * @param defects Which defects to reproduce. Defaults to all.
 * @returns A reward each.
 */
export function rewards(
  metrics: readonly number[],
  defects: FusionDefects = fusionAsPublished,
): number[] {
  if (!defects["bf16-rewards"]) return metrics.map((each) => Math.exp(-each));
  return metrics.map((each) =>
    bfloat16(1 / bfloat16(Math.exp(bfloat16(each))))
  );
}

/**
 * Choose the model to learn from, as MinCE does: the one of the largest reward.
 *
 * @param metrics One a model; the target's own first, where it takes part.
 * @param options Whether it does, and which defects to reproduce.
 * @returns Which one. Of equal rewards the first; as published, of two sources
 * without the target, the second.
 */
export function referenceMinCe(
  metrics: readonly number[],
  { hasTarget, defects = fusionAsPublished }: {
    hasTarget: boolean;
    defects?: FusionDefects;
  },
): number {
  const all = rewards(metrics, defects);
  if (defects["bf16-rewards"] && !hasTarget && all.length === 2) {
    return all[0]! > all[1]! ? 0 : 1;
  }
  return all.indexOf(Math.max(...all));
}

/**
 * Share the learning out, as AvgCE does.
 *
 * @param metrics One a model.
 * @param defects Which defects to reproduce. Defaults to all.
 * @returns A share each; they sum to 1, but for rounding.
 */
export function referenceAvgCe(
  metrics: readonly number[],
  defects: FusionDefects = fusionAsPublished,
): number[] {
  const scores = defects["softmax-of-rewards"]
    ? rewards(metrics, defects)
    : metrics.map((metric) => -metric);
  const most = Math.max(...scores);
  const shares = scores.map((score) => Math.exp(score - most));
  const total = shares.reduce((sum, share) => sum + share, 0);
  const round = defects["bf16-rewards"] ? bfloat16 : Number;
  return shares.map((share) => round(share / total));
}
