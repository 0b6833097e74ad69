import { pairTokens } from "./pair_tokens.ts";
import { asPublished, type ReferenceDefects } from "./reference_defects.ts";
import type { SpellingRelation } from "./spelling_relation.ts";
import {
  type AlignedStep,
  type Candidate,
  candidatesAt,
  type StepLogits,
} from "./step_logits.ts";

/** How FuseLLM aligns. */
export interface TransformOptions {
  /** Whether tokens without an exact match are mapped. */
  soft: boolean;
  /** Which defects to reproduce. Defaults to all. */
  defects?: ReferenceDefects;
}

/**
 * Rewrite a source's logits over the target's vocabulary as FuseLLM does.
 *
 * Where two tokens face each other, each of the source's candidates hands its
 * logit to its image: by exact match (`hard`) or by the mapping (`soft`).
 * Elsewhere the row is a one-hot of the token that stands there.
 *
 * @param target The target's rows, at least one.
 * @param source The source's rows, at least one.
 * @param relation How their tokens relate.
 * @param options See {@linkcode TransformOptions}.
 * @returns A row for every target row; `ids` is empty where no candidate has an
 * image.
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}.
 */
export function transformStepLogits(
  target: StepLogits,
  source: StepLogits,
  relation: SpellingRelation,
  { soft, defects = asPublished }: TransformOptions,
): AlignedStep[] {
  const facing = pairTokens(target, source, relation, { soft, defects });
  return Array.from(facing, (s, t) => {
    if (s < 0) return unpaired(target.inputIds[t]!, defects);
    const images = imagesOf(candidatesAt(source, s), relation, soft);
    const merged = mergeImages(images, defects["dedupe-first"]);
    return logitsStep(merged);
  });
}

/** A source token, its logit and its image in the target's vocabulary. */
export interface ImagedCandidate extends Candidate {
  /** The target's token. */
  image: number;
}

/**
 * Find the images of a row's candidates.
 *
 * @param candidates What the source says.
 * @param relation How tokens relate.
 * @param soft Whether to ask the mapping.
 * @returns Those that have an image, best first.
 */
export function imagesOf(
  candidates: readonly Candidate[],
  relation: SpellingRelation,
  soft: boolean,
): ImagedCandidate[] {
  return candidates.flatMap((candidate) => {
    const image = relation.image(candidate.id, soft);
    return image === undefined ? [] : [{ ...candidate, image }];
  });
}

/**
 * Let candidates with the same image become one.
 *
 * @param candidates Best first.
 * @param first Whether the first counts alone, or all are added up.
 * @returns Different images, in order of appearance.
 */
export function mergeImages(
  candidates: readonly ImagedCandidate[],
  first: boolean,
): ImagedCandidate[] {
  const merged = new Map<number, ImagedCandidate>();
  for (const candidate of candidates) {
    const known = merged.get(candidate.image);
    if (!known) merged.set(candidate.image, { ...candidate });
    else if (!first) {
      const gap = Math.exp(candidate.logit - known.logit);
      known.logit += Math.log1p(gap);
    }
  }
  return [...merged.values()];
}

/**
 * A row of logits.
 *
 * @param candidates Candidates with different images.
 * @returns The row.
 */
export function logitsStep(
  candidates: readonly ImagedCandidate[],
): AlignedStep {
  return {
    kind: "logits",
    ids: candidates.map(({ image }) => image),
    values: candidates.map(({ logit }) => logit),
    iterations: 0,
    marginalError: 0,
  };
}

/**
 * A row that nothing faces.
 *
 * @param current The token that stands there.
 * @param defects Which defects are on.
 * @returns A one-hot of this token, as published, or nothing.
 */
export function unpaired(
  current: number,
  defects: ReferenceDefects,
): AlignedStep {
  const learns = defects["current-token"];
  return {
    kind: learns ? "one-hot" : "none",
    ids: learns ? [current] : [],
    values: learns ? [1] : [],
    iterations: 0,
    marginalError: 0,
  };
}
