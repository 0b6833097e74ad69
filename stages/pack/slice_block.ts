import type { Block, BlockTeacher } from "#/stages/pack/open_row.ts";

/**
 * A part of a block, for packing that cuts.
 *
 * @param block The block.
 * @param from Its first position that stays.
 * @param to The position behind the last one.
 * @returns The part; bytes that the cut parts have no logprob.
 */
export function sliceBlock(block: Block, from: number, to: number): Block {
  if (from === 0 && to === block.inputIds.length) return block;
  return {
    ...block,
    inputIds: block.inputIds.subarray(from, to),
    teachers: new Map(
      Array.from(
        block.teachers,
        ([name, teacher]) => [name, sliceTeacher(teacher, from, to)],
      ),
    ),
  };
}

function sliceTeacher(
  teacher: BlockTeacher,
  from: number,
  to: number,
): BlockTeacher {
  const { topK, topkIds, topkLogprobs, weight } = teacher;
  const labelLogprobs = teacher.labelLogprobs.slice(from, to);
  if (to < weight.length) {
    const last = labelLogprobs.findLastIndex((logprob) => !isNaN(logprob));
    if (last >= 0) labelLogprobs[last] = NaN;
  }
  return {
    ...teacher,
    topkIds: topkIds.subarray(from * topK, to * topK),
    topkLogprobs: topkLogprobs.subarray(from * topK, to * topK),
    weight: weight.subarray(from, to),
    labelLogprobs,
  };
}
