/**
 * What the published code of FuseLLM and PTA-LLM does, that is thought to be
 * wrong, one switch each. Switched off, a step does the other thing named here.
 */
export const referenceDefects = {
  "dtw": "pairs come from warping token strings, not from byte offsets",
  "markerless-dtw":
    "warping deletes the word marker, so that blanks cost nothing",
  "one-sided-gate":
    "a source token that covers several target tokens may still pair",
  "current-token":
    "a row without a pair learns the token it stands on, not nothing",
  "dedupe-first":
    "of source tokens with one image the first counts, the others are dropped, not added",
  "mapped-rows":
    "what is transported are images in the target's vocabulary, not source tokens",
  "stripped-cost":
    "costs delete the source's marker on one side and the target's on the other, not compare bytes",
  "skip-rule":
    "rows with fewer different images than asked for are not transported",
  "misaligned-cut":
    "marginals are cut from the probabilities as they come: neither sums to 1, and the source's may belong to other tokens",
  "target-columns":
    "mass can only go to the target's own top k, not to images beyond",
  "balanced":
    "column sums are held to the target's own probabilities, not just drawn to them",
  "columns-last": "sweeps end on the columns, so that row sums are not met",
  "stop-rule":
    "sweeps end when row sums stand still, not when they are what they should be",
  "clamp": "sums below 1e-10 count as 1e-10",
  "primal": "plans are kept as exp(−λC), which underflows, not as logarithms",
  "row-argmax":
    "of every row of a plan only the largest cell counts, not all of them",
  "renormalized-top-k": "the top k is taken for the whole distribution",
  "softmax-over-masses": "transported masses are taken for logits",
  "bf16": "logits and probabilities are rounded to bfloat16",
} as const;

/** A name that `--reference` takes. */
export type ReferenceDefect = keyof typeof referenceDefects;

/** Which defects are switched on. */
export type ReferenceDefects = Readonly<Record<ReferenceDefect, boolean>>;

/**
 * Switch defects on.
 *
 * @param names Those that are to be as published; the others are corrected.
 * @returns A switch for each.
 * @throws {RangeError} If there is no such defect.
 */
export function withDefects(names: Iterable<string>): ReferenceDefects {
  const on = new Set(names);
  const known = Object.keys(referenceDefects) as ReferenceDefect[];
  for (const name of on) {
    if (Object.hasOwn(referenceDefects, name)) continue;
    throw new RangeError(
      `Cannot switch a defect on: "${name}" is none, expected one of ` +
        known.join(", "),
    );
  }
  const switches = known.map((name) => [name, on.has(name)] as const);
  return Object.fromEntries(switches) as Record<ReferenceDefect, boolean>;
}

/** Everything as published. */
export const asPublished: ReferenceDefects = withDefects(
  Object.keys(referenceDefects),
);

/** Everything corrected. */
export const corrected: ReferenceDefects = withDefects([]);
