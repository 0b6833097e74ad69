import { bfloat16 } from "#/stages/bfloat16.ts";
import type { Switches } from "#/stages/reference_switches.ts";

/**
 * What the published fusion does that is thought to be wrong, one switch each.
 * Switched off, it does the other thing named here.
 */
export const fusionDefects = {
  "loss-per-token":
    "models are compared by nats per token of their own, not by bits per byte",
  "chunk-choice":
    "one model is chosen for all blocks of a packed row, not for each",
  "bf16-rewards": "rewards are computed in bfloat16, so that many are equal",
  "softmax-of-rewards":
    "shares are a softmax of exp(−loss), nearly even, not of −loss",
} as const;

/** Which of the fusion's defects are switched on. */
export type FusionDefects = Switches<typeof fusionDefects>;

/** Everything as published. */
export const fusionAsPublished: FusionDefects = {
  "loss-per-token": true,
  "chunk-choice": true,
  "bf16-rewards": true,
  "softmax-of-rewards": true,
};

/** How models are weighed. */
export interface ShareOptions {
  /** Whether the first is the target itself. */
  hasTarget: boolean;
  /** The difference in bits that makes one model e times heavier. Defaults to 1. */
  temperature?: number;
  /** Which defects to reproduce. Defaults to all. */
  defects?: FusionDefects;
}

/**
 * Hand the blocks' metrics to the positions of a packed row.
 *
 * @param metrics The metric of each position's block, `[L]`; NaN on padding.
 * @param defects Which defects to reproduce. Defaults to all.
 * @returns The metric that counts at each position, `[L]`: the row's mean, as
 * published.
 */
export function chunkMetrics(
  metrics: readonly number[],
  defects: FusionDefects = fusionAsPublished,
): number[] {
  if (!defects["chunk-choice"]) return [...metrics];
  const known = metrics.filter((each) => !Number.isNaN(each));
  const mean = known.reduce((sum, each) => sum + each, 0) / known.length;
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
 * @param options See {@linkcode ShareOptions}.
 * @returns A share of 1 for one of them, of equal rewards the first; as
 * published, of two sources without the target, the second.
 */
export function referenceMinCe(
  metrics: readonly number[],
  { hasTarget, defects = fusionAsPublished }: ShareOptions,
): number[] {
  const all = rewards(metrics, defects);
  const isTwo = defects["bf16-rewards"] && !hasTarget && all.length === 2;
  const best = isTwo
    ? all[0]! > all[1]! ? 0 : 1
    : all.indexOf(Math.max(...all));
  return all.map((_, model) => model === best ? 1 : 0);
}

/**
 * Share the learning out, as AvgCE does.
 *
 * @param metrics One a model.
 * @param options See {@linkcode ShareOptions}.
 * @returns A share each; they sum to 1, but for rounding.
 */
export function referenceAvgCe(
  metrics: readonly number[],
  { temperature = 1, defects = fusionAsPublished }: ShareOptions,
): number[] {
  const scores = defects["softmax-of-rewards"]
    ? rewards(metrics, defects)
    : metrics.map((metric) => -metric / temperature);
  const most = Math.max(...scores);
  const shares = scores.map((score) => Math.exp(score - most));
  const total = shares.reduce((sum, share) => sum + share, 0);
  const round = defects["bf16-rewards"] ? bfloat16 : Number;
  return shares.map((share) => round(share / total));
}
