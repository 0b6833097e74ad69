import { run } from "#/kernels/device.ts";
import type { LossOptions, LossRows } from "#/kernels/losses/loss_rows.ts";
import type { Teacher } from "#/kernels/losses/prepare_teacher.ts";
import { rowThreads } from "#/kernels/losses/row_threads.ts";
import code from "./rank_tokens.wgsl" with { type: "text" };

/**
 * A teacher whose tokens are known by their ranks: `fusedIds` is −1 where a
 * token of the model is to stand.
 */
export interface RankedTeacher extends Omit<Teacher, "vocabSize" | "topK"> {
  /**
   * Whose place it is, `[N, K]`: the model's next most likely token's (1), its
   * next least likely one's (−1), or the token's that is there already (0).
   */
  directions: Int32Array<ArrayBuffer>;
}

/**
 * Put a teacher's tokens in order: the most likely first; then, where a residual
 * is spread, those less likely than its share, from the end of the order.
 *
 * @param rows The rows.
 * @param options The residual counts.
 * @param isRanked Which tokens are to be known by rank, `[V]`: nonzero. The
 * others keep their ids.
 * @returns The same teachers, in order.
 */
export function rankTeacher(
  rows: LossRows<unknown>,
  { residual = "bucket" }: LossOptions,
  isRanked: Uint32Array,
): RankedTeacher {
  const { fusedIds, fusedProbs, fusedResidual, vocabSize, topK } = rows;
  const ranked: RankedTeacher = {
    fusedIds: new Int32Array(fusedIds.length).fill(-1),
    fusedProbs: new Float32Array(fusedProbs.length),
    fusedResidual,
    directions: new Int32Array(fusedIds.length),
  };
  for (let row = 0; row < fusedResidual.length; row++) {
    const entries = Array.from({ length: topK }, (_, k) => ({
      id: fusedIds[row * topK + k]!,
      p: fusedProbs[row * topK + k]!,
    })).filter(({ id }) => id >= 0);
    const tail = vocabSize - entries.length;
    const share = residual === "spread" ? fusedResidual[row]! / tail : 0;
    const isTop = ({ p }: { p: number }) => tail === 0 || p >= share;
    const [named, unnamed] = [
      entries.filter(({ id }) => isRanked[id] === 0),
      entries.filter(({ id }) => isRanked[id] !== 0),
    ];
    const tops = unnamed.filter(isTop).sort((a, b) => b.p - a.p);
    const rest = unnamed.filter((one) => !isTop(one)).sort((a, b) => a.p - b.p);
    [...tops, ...rest, ...named].forEach(({ id, p }, k) => {
      const at = row * topK + k;
      const isNamed = k >= unnamed.length;
      ranked.fusedIds[at] = isNamed ? id : -1;
      ranked.fusedProbs[at] = p;
      ranked.directions[at] = isNamed ? 0 : k < tops.length ? 1 : -1;
    });
  }
  return ranked;
}

/**
 * Give a teacher's tokens the ids of the model's tokens of equal rank, on the
 * GPU: a distance to it compares the two in order, whatever the tokens are.
 *
 * @param device Where to run.
 * @param rows The rows.
 * @param options The residual counts.
 * @param isRanked Which tokens are known by rank, `[V]`; all by default.
 * @returns The rows with such teachers.
 */
export async function rankTokens(
  device: GPUDevice,
  rows: LossRows,
  options: LossOptions,
  isRanked: Uint32Array<ArrayBuffer> = everyToken(rows),
): Promise<LossRows> {
  const { directions, ...teacher } = rankTeacher(rows, options, isRanked);
  if (directions.length === 0) return { ...rows, ...teacher };
  const [ids] = await run(device, {
    label: "rank_tokens",
    code,
    constants: { WORKGROUP: rowThreads(device) },
    bindings: [
      rows.logits,
      directions,
      { shared: isRanked },
      { length: directions.length, whole: true },
    ],
    items: rows.labels.length,
  });
  teacher.fusedIds.forEach((id, at) => {
    if (directions[at] !== 0) teacher.fusedIds[at] = ids![at]!;
    else teacher.fusedIds[at] = id;
  });
  return { ...rows, ...teacher };
}

/**
 * A mask of all tokens.
 *
 * @param rows V counts.
 * @returns Ones, `[V]`.
 */
export function everyToken(
  { vocabSize }: Pick<LossRows, "vocabSize">,
): Uint32Array<ArrayBuffer> {
  return new Uint32Array(vocabSize).fill(1);
}
