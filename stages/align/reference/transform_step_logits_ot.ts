import { pairTokens } from "./pair_tokens.ts";
import { asPublished, type ReferenceDefects } from "./reference_defects.ts";
import { type ReferencePlan, referenceSinkhorn } from "./reference_sinkhorn.ts";
import type { SpellingRelation } from "./spelling_relation.ts";
import {
  type AlignedStep,
  type Candidate,
  candidatesAt,
  softmax,
  type StepLogits,
} from "./step_logits.ts";
import {
  type ImagedCandidate,
  imagesOf,
  logitsStep,
  mergeImages,
  unpaired,
} from "./transform_step_logits.ts";

/** How PTA-LLM aligns. */
export interface TransportStepOptions {
  /** Candidates of each side that are transported. Defaults to 10. */
  topK?: number;
  /** When the transport stops. Defaults to 1e-5. */
  threshold?: number;
  /** Which defects to reproduce. Defaults to all. */
  defects?: ReferenceDefects;
}

/** The least probability of a column outside of the target's top k. */
const LEAST = 1e-9;

/**
 * Rewrite a source's logits over the target's vocabulary as PTA-LLM does.
 *
 * As {@linkcode transformStepLogits} with a soft mapping, but where two tokens
 * face each other, the source's probabilities are transported to the target's
 * best tokens, and what arrives there replaces the logits. A row with too few
 * different images keeps its logits, and so does one whose plan is not a number.
 *
 * @param target The target's rows, at least one.
 * @param source The source's rows, at least one.
 * @param relation How their tokens relate.
 * @param options See {@linkcode TransportStepOptions}.
 * @returns A row for every target row.
 * @see Zeng et al. 2025, {@link https://arxiv.org/abs/2509.17276}.
 */
export function transformStepLogitsOt(
  target: StepLogits,
  source: StepLogits,
  relation: SpellingRelation,
  { topK = 10, threshold = 1e-5, defects = asPublished }: TransportStepOptions =
    {},
): AlignedStep[] {
  const facing = pairTokens(target, source, relation, { soft: true, defects });
  return Array.from(facing, (s, t) => {
    if (s < 0) return unpaired(target.inputIds[t]!, defects);
    const theirs = candidatesAt(source, s);
    const images = imagesOf(theirs, relation, true);
    const rows = rowsOf(theirs, images, topK, defects);
    const columns = columnsOf(
      candidatesAt(target, t),
      images,
      relation,
      topK,
      defects,
    );
    const plain = logitsStep(mergeImages(images, defects["dedupe-first"]));
    if (!rows || !columns) return plain;
    const cost = costsOf(rows.candidates, columns.ids, relation, defects);
    const solved = referenceSinkhorn(
      { cost, a: rows.a, b: columns.b },
      { threshold, defects },
    );
    const step = readOff(solved, columns.ids, rows, defects);
    return step.values.every((value) => value >= 0) ? step : plain;
  });
}

/** What is transported. */
interface Rows {
  candidates: ImagedCandidate[];
  /** Their marginal. */
  a: number[];
  /** What is left of the distribution: 1 as published. */
  mass: number;
}

/** Undefined where there are too few. */
function rowsOf(
  theirs: readonly Candidate[],
  images: readonly ImagedCandidate[],
  topK: number,
  defects: ReferenceDefects,
): Rows | undefined {
  const first = defects["dedupe-first"];
  const candidates = defects["mapped-rows"]
    ? mergeImages(images, first)
    : [...images];
  const least = defects["skip-rule"] ? topK : 1;
  if (candidates.length < least) return undefined;
  candidates.length = Math.min(candidates.length, topK);
  const all = probsOf(theirs.map(({ logit }) => logit), defects);
  if (defects["misaligned-cut"]) {
    return { candidates, a: all.slice(0, candidates.length), mass: 1 };
  }
  const masses = probsOf(
    candidates.map(({ logit }) => logit),
    defects,
    theirs.map(({ logit }) => logit),
  );
  const total = masses.reduce((sum, mass) => sum + mass, 0);
  return {
    candidates,
    a: masses.map((mass) => mass / total),
    mass: defects["renormalized-top-k"] ? 1 : total,
  };
}

/** Probabilities: over the top k alone, or of the whole distribution. */
function probsOf(
  logits: readonly number[],
  defects: ReferenceDefects,
  all: readonly number[] = logits,
): number[] {
  if (!defects["renormalized-top-k"]) return logits.map(Math.exp);
  if (logits === all) return softmax(logits);
  const most = Math.max(...all);
  const total = all.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
  return logits.map((logit) => Math.exp(logit - most) / total);
}

/** Where mass can go, and the marginal there; undefined where it is too little. */
function columnsOf(
  ours: readonly Candidate[],
  images: readonly ImagedCandidate[],
  relation: SpellingRelation,
  topK: number,
  defects: ReferenceDefects,
): { ids: number[]; b: number[] } | undefined {
  const least = defects["skip-rule"] ? topK : 1;
  if (ours.length < least) return undefined;
  const probs = probsOf(ours.map(({ logit }) => logit), defects);
  const ids = ours.slice(0, topK).map(({ id }) => id);
  const b = probs.slice(0, topK);
  if (!defects["target-columns"]) {
    const tail = 1 - probs.reduce((sum, p) => sum + p, 0);
    const share = tail / Math.max(1, relation.targetSize - ours.length);
    for (const { image } of images) {
      if (ids.includes(image)) continue;
      const known = ours.findIndex(({ id }) => id === image);
      ids.push(image);
      b.push(Math.max(LEAST, known < 0 ? share : probs[known]!));
    }
  }
  if (defects["misaligned-cut"]) return { ids, b };
  const total = b.reduce((sum, p) => sum + p, 0);
  return { ids, b: b.map((p) => p / total) };
}

function costsOf(
  rows: readonly ImagedCandidate[],
  columns: readonly number[],
  relation: SpellingRelation,
  defects: ReferenceDefects,
): Float64Array {
  const mapped = defects["mapped-rows"];
  if (!defects["stripped-cost"]) {
    return relation.byteCosts(rows, columns, mapped);
  }
  const spellings = rows.map(({ id, image }) =>
    mapped ? relation.targetSpelling(image) : relation.sourceSpelling(id)
  );
  return relation.strippedCosts(spellings, columns);
}

/** What arrives at each column: every row's largest cell, or all of them. */
function readOff(
  { plan, iterations, marginalError }: ReferencePlan,
  columns: readonly number[],
  { candidates, mass }: Rows,
  defects: ReferenceDefects,
): AlignedStep {
  const m = columns.length;
  const arrived = new Map<number, number>();
  const add = (j: number, value: number) =>
    arrived.set(j, (arrived.get(j) ?? 0) + mass * value);
  candidates.forEach((_, i) => {
    const row = plan.subarray(i * m, i * m + m);
    if (defects["row-argmax"]) {
      const best = argmax(row);
      add(best, row[best]!);
    } else row.forEach((value, j) => add(j, value));
  });
  return {
    kind: "masses",
    ids: [...arrived.keys()].map((j) => columns[j]!),
    values: [...arrived.values()],
    iterations,
    marginalError,
  };
}

/** The first of the largest; the first that is not a number, as in numpy. */
function argmax(row: Float64Array): number {
  let best = 0;
  for (let j = 0; j < row.length; j++) {
    if (Number.isNaN(row[j]!)) return j;
    if (row[j]! > row[best]!) best = j;
  }
  return best;
}
