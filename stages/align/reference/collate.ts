import { bfloat16 } from "#/stages/bfloat16.ts";
import { asPublished, type ReferenceDefects } from "./reference_defects.ts";
import { type AlignedStep, type Candidate, softmax } from "./step_logits.ts";

/** A distribution to learn from. */
export interface CollatedStep {
  /** Different target tokens; none where there is nothing to learn. */
  ids: number[];
  /** Their probabilities. */
  probs: number[];
}

/** How to read a row's numbers. */
export interface CollateOptions {
  /** Softens what is learned from. Defaults to 1. */
  temperature?: number;
  /** Which defects to reproduce. Defaults to all. */
  defects?: ReferenceDefects;
}

/**
 * Turn an aligned row into the distribution that training sees.
 *
 * As published, whatever the row holds goes through a softmax, transported
 * masses too, in bfloat16: it is rounded, divided by the temperature, rounded,
 * and the probabilities are rounded again. A row without any token learns from
 * the target's own distribution.
 *
 * @param step An aligned row.
 * @param own The target's candidates there.
 * @param options See {@linkcode CollateOptions}.
 * @returns The distribution; without the defect `renormalized-top-k`,
 * probabilities need not sum to 1.
 */
export function collate(
  step: AlignedStep,
  own: readonly Candidate[],
  { temperature = 1, defects = asPublished }: CollateOptions = {},
): CollatedStep {
  if (step.kind === "none") return { ids: [], probs: [] };
  if (step.kind === "one-hot") return { ids: step.ids, probs: [1] };
  if (step.ids.length === 0) {
    return {
      ids: own.map(({ id }) => id),
      probs: fromLogits(own.map(({ logit }) => logit), temperature, defects),
    };
  }
  const { ids, kind, values } = step;
  if (kind === "logits" || defects["softmax-over-masses"]) {
    return {
      ids,
      probs: kind === "logits"
        ? fromLogits(values, temperature, defects)
        : rounded(values, temperature, defects),
    };
  }
  const total = defects["renormalized-top-k"]
    ? 1
    : values.reduce((sum, mass) => sum + mass, 0);
  const logits = values.map(Math.log);
  const probs = rounded(logits, temperature, defects);
  return { ids, probs: probs.map((p) => p * total) };
}

/** Probabilities of logits: over all of them, or what they are a part of. */
function fromLogits(
  logits: readonly number[],
  temperature: number,
  defects: ReferenceDefects,
): number[] {
  const probs = rounded(logits, temperature, defects);
  if (defects["renormalized-top-k"]) return probs;
  const mass = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return probs.map((p) => p * mass);
}

/** A softmax, in bfloat16 or not. */
function rounded(
  logits: readonly number[],
  temperature: number,
  { bf16 }: ReferenceDefects,
): number[] {
  const round = bf16 ? bfloat16 : Number;
  const scaled = logits.map((logit) => round(round(logit) / temperature));
  return softmax(scaled).map(round);
}
