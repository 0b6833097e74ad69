import { positionPairs } from "#/stages/align/position_pairs.ts";
import { dtw } from "#/stages/dtw.ts";
import type { ReferenceDefects } from "./reference_defects.ts";
import type { SpellingRelation } from "./spelling_relation.ts";
import type { StepLogits } from "./step_logits.ts";

/**
 * Find the source row that faces every target row.
 *
 * As published, tokens are warped onto each other, and two face each other if
 * the target's token met no other and both are spelled the same, or, if `soft`,
 * are mapped. A byte-level source has no marker at the head of a text; it is
 * added. With the defect `dtw` switched off, rows at one byte offset face each
 * other, whatever their tokens.
 *
 * @param target The target's rows.
 * @param source The source's rows.
 * @param relation How their tokens relate.
 * @param options Whether the mapping counts, and which defects are on.
 * @returns A source row for every target row, −1 where there is none.
 */
export function pairTokens(
  target: StepLogits,
  source: StepLogits,
  relation: SpellingRelation,
  { soft, defects }: { soft: boolean; defects: ReferenceDefects },
): Int32Array {
  const facing = new Int32Array(target.inputIds.length).fill(-1);
  if (!defects.dtw) {
    const pairs = positionPairs(target.byteEnds, source.byteEnds);
    pairs.target.forEach((t, k) => facing[t] = pairs.source[k]!);
    return facing;
  }
  const { sourceToTarget, targetToSource } = warp(
    target,
    source,
    relation,
    defects["markerless-dtw"],
  );
  const { sourceMarker, targetMarker } = relation;
  targetToSource.forEach((met, t) => {
    const s = met[0]!;
    if (met.length > 1) return;
    if (!defects["one-sided-gate"] && sourceToTarget[s]!.length > 1) return;
    const targetId = target.inputIds[t]!;
    let spelling = relation.respelled(source.inputIds[s]!);
    const lacksMarker = t === 0 && sourceMarker === "Ġ" &&
      relation.targetSpelling(targetId).startsWith(targetMarker) &&
      !spelling.startsWith(targetMarker);
    if (lacksMarker) spelling = targetMarker + spelling;
    if (relation.matches(spelling, targetId, soft)) facing[t] = s;
  });
  return facing;
}

function warp(
  target: StepLogits,
  source: StepLogits,
  relation: SpellingRelation,
  isMarkerless: boolean,
) {
  const { sourceMarker, targetMarker } = relation;
  const ours = Array.from(target.inputIds, (id) => relation.targetSpelling(id));
  if (!isMarkerless) {
    const theirs = Array.from(source.inputIds, (id) => relation.respelled(id));
    return dtw(theirs, ours);
  }
  return dtw(
    Array.from(
      source.inputIds,
      (id) => relation.sourceSpelling(id).replaceAll(sourceMarker, ""),
    ),
    ours.map((token) => token.replaceAll(targetMarker, "")),
  );
}
