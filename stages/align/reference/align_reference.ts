import { emptyRow } from "#/stages/align/empty_row.ts";
import type {
  AlignedRow,
  RepresentationRow,
  VocabMappingRow,
} from "#/shards/mod.ts";
import { writeTop } from "#/stages/align/write_top.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { collate } from "./collate.ts";
import { asPublished, type ReferenceDefects } from "./reference_defects.ts";
import { SpellingRelation } from "./spelling_relation.ts";
import {
  type AlignedStep,
  candidatesAt,
  type StepLogits,
} from "./step_logits.ts";
import { transformStepLogits } from "./transform_step_logits.ts";
import { transformStepLogitsOt } from "./transform_step_logits_ot.ts";

/** The published methods: FuseLLM's two and PTA-LLM's. */
export const referenceMethods = {
  "hard": (target, source, relation, { defects }) =>
    transformStepLogits(target, source, relation, { soft: false, defects }),
  "soft": (target, source, relation, { defects }) =>
    transformStepLogits(target, source, relation, { soft: true, defects }),
  "soft-ot": transformStepLogitsOt,
} satisfies Record<string, ReferenceMethod>;

/** Aligns one text. */
type ReferenceMethod = (
  target: StepLogits,
  source: StepLogits,
  relation: SpellingRelation,
  options: { topK: number; threshold: number; defects: ReferenceDefects },
) => AlignedStep[];

/** What there is of a tokenizer to align by. */
export type ReferenceTokenizer = Pick<
  Tokenizer,
  "tokens" | "tokenBytes" | "specialIds"
>;

/** How to align. */
export interface AlignReferenceOptions {
  /** Which of the published methods. Defaults to `soft-ot`. */
  method?: keyof typeof referenceMethods;
  /**
   * Candidates of each side that are transported. Defaults to 10, or to as many
   * as are captured: as published, rows of fewer than are asked for are not
   * transported at all.
   */
  logitsNumber?: number;
  /** When the transport stops. Defaults to 1e-5. */
  threshold?: number;
  /** Tokens kept of the result, K'. Defaults to the longer of the two lists. */
  topK?: number;
  /** Which defects to reproduce. Defaults to all. */
  defects?: ReferenceDefects;
}

/** A row, and how much of it does not tell what the source says. */
export interface ReferenceRow extends AlignedRow {
  /** Rows of weight 1 that nothing faces: they learn a one-hot of their own token. */
  fallbackRows: number;
}

/**
 * Align captured rows the published way.
 *
 * What is stored is what the published trainer would see, so that the defects of
 * the collator are in it. Three things differ from a published run, because our
 * captures do: there are logprobs in f16 instead of logits in f16, of which a
 * softmax says the same and a rounding to bfloat16 nearly the same; the row of a
 * leading BOS, which the published code has not, learns nothing where tokens are
 * warped, nor does the last one, which has no label.
 *
 * @param target The target's tokenizer.
 * @param source The source's tokenizer.
 * @param mapping Images of the source's tokens; of several, the first counts.
 * @param options See {@linkcode AlignReferenceOptions}.
 * @returns A function that aligns one block: target row and source row to aligned row.
 */
export function referenceAligner(
  target: ReferenceTokenizer,
  source: ReferenceTokenizer,
  mapping: Iterable<VocabMappingRow>,
  options: AlignReferenceOptions = {},
): (
  targetRow: RepresentationRow,
  sourceRow: RepresentationRow,
) => ReferenceRow {
  const relation = relationOf(target, source, mapping);
  const { method = "soft-ot", threshold = 1e-5 } = options;
  const { defects = asPublished } = options;
  return (targetRow, sourceRow) => {
    const ours = stepsOf(targetRow, target, defects);
    const theirs = stepsOf(sourceRow, source, defects);
    const most = options.topK ?? Math.max(targetRow.topK, sourceRow.topK);
    const row = { ...emptyRow(targetRow, sourceRow, most), fallbackRows: 0 };
    const hasText = ours.steps.inputIds.length > 0 &&
      theirs.steps.inputIds.length > 0;
    if (!hasText) return row;
    const captured = Math.min(targetRow.topK, sourceRow.topK);
    const topK = options.logitsNumber ?? Math.min(10, captured);
    const settings = { topK, threshold, defects };
    const aligned = referenceMethods[method](
      ours.steps,
      theirs.steps,
      relation,
      settings,
    );
    aligned.slice(0, -1).forEach((step, k) => {
      const t = ours.start + k;
      const { ids, probs } = collate(step, candidatesAt(ours.steps, k), {
        defects,
      });
      const { marginalError } = step;
      const kept = writeTop(
        { ids, masses: probs, length: ids.length, marginalError },
        row,
        t,
      );
      row.weight[t] = kept > 0 ? 1 : 0;
      row.marginalError[t] = marginalError;
      if (step.kind === "one-hot") row.fallbackRows++;
    });
    return row;
  };
}

function relationOf(
  target: ReferenceTokenizer,
  source: ReferenceTokenizer,
  mapping: Iterable<VocabMappingRow>,
): SpellingRelation {
  const bare = new SpellingRelation(target, source);
  const spellings = new Map<string, string>();
  for (const { sourceId, targetId, weight } of mapping) {
    const spelling = bare.respelled(sourceId);
    if (weight <= 0 || spelling === "" || spellings.has(spelling)) continue;
    spellings.set(spelling, bare.targetSpelling(targetId));
  }
  return new SpellingRelation(target, source, spellings);
}

/** A sequence; where it is to be warped, without the special tokens at its head. */
function stepsOf(
  { inputIds, byteEnds, topK, topkIds, topkLogprobs }: RepresentationRow,
  { specialIds }: ReferenceTokenizer,
  { dtw }: ReferenceDefects,
): { steps: StepLogits; start: number } {
  const text = inputIds.findIndex((id) => !specialIds.has(id));
  const start = !dtw ? 0 : text < 0 ? inputIds.length : text;
  const steps = {
    inputIds: inputIds.subarray(start),
    byteEnds: byteEnds.subarray(start),
    topK,
    topkIds: topkIds.subarray(start * topK),
    topkLogits: topkLogprobs.subarray(start * topK),
  };
  return { steps, start };
}
