import { type LossOptions, type LossRows } from "#/kernels/losses/loss_rows.ts";
import { temperTeacher } from "#/kernels/losses/prepare_teacher.ts";

/**
 * Which tokens of a teacher's vocabulary stand for each token of the model: the
 * matrix W, `[V, U]`, row by row.
 */
export interface Projection {
  /** U, tokens of the teacher's vocabulary. */
  vocabSize: number;
  /** Where the entries of each of the model's tokens begin, and the end, `[V + 1]`. */
  offsets: Uint32Array<ArrayBuffer>;
  /** The teacher's token of every entry, `[E]`. */
  ids: Uint32Array<ArrayBuffer>;
  /** Its share of the model's token, above 0, `[E]`; those of a token sum to 1. */
  weights: Float32Array<ArrayBuffer>;
}

/** A sparse matrix by one of its sides. */
export interface SparseSide {
  /** Where entries begin, and the end. */
  offsets: Uint32Array<ArrayBuffer>;
  /** Index on the other side of every entry. */
  ids: Uint32Array<ArrayBuffer>;
  /** Logarithm of its weight. */
  logWeights: Float32Array<ArrayBuffer>;
}

/**
 * W without the teacher's tokens that no token of the model stands for: those
 * that are left are numbered anew, from 0 to C.
 */
export interface ReachableProjection {
  /** By the model's tokens, `[V]`. */
  rows: SparseSide;
  /** By the teacher's tokens that are left, `[C]`. */
  columns: SparseSide;
  /** C. */
  reachable: number;
  /** The new number of each of the teacher's tokens, `[U]`; −1 where it has none. */
  numbers: Int32Array;
}

const known = new WeakMap<Projection, ReachableProjection>();

/**
 * Turn a projection to both sides; done once for each.
 *
 * @param rows V and the projection.
 * @returns W by rows and by columns.
 * @throws {RangeError} If there is no projection, or it does not fit the model.
 */
export function reachableProjection(
  { projection, vocabSize }: Pick<LossRows, "projection" | "vocabSize">,
): ReachableProjection {
  if (projection?.offsets.length !== vocabSize + 1) {
    throw new RangeError(
      `Cannot compute p-kl: projection has ` +
        `${
          Math.max(0, (projection?.offsets.length ?? 0) - 1)
        } rows, expected ` +
        `one for each of the ${vocabSize} tokens`,
    );
  }
  const cached = known.get(projection);
  if (cached) return cached;
  const turned = turn(projection);
  known.set(projection, turned);
  return turned;
}

function turn({ vocabSize, offsets, ids, weights }: Projection) {
  const counts = new Uint32Array(vocabSize);
  for (const id of ids) {
    if (id >= vocabSize) {
      throw new RangeError(
        `Cannot compute p-kl: projection names token ${id}, expected less ` +
          `than the ${vocabSize} of the teacher`,
      );
    }
    counts[id]!++;
  }
  let reachable = 0;
  const numbers = Int32Array.from(
    counts,
    (count) => count > 0 ? reachable++ : -1,
  );
  const starts = new Uint32Array(reachable + 1);
  counts.forEach((count, id) => {
    if (count > 0) starts[numbers[id]! + 1] = count;
  });
  for (let u = 0; u < reachable; u++) starts[u + 1]! += starts[u]!;
  const logWeights = weights.map(Math.log);
  const columns = {
    offsets: starts,
    ids: new Uint32Array(ids.length),
    logWeights: new Float32Array(ids.length),
  };
  const next = starts.slice();
  for (let v = 0; v + 1 < offsets.length; v++) {
    for (let entry = offsets[v]!; entry < offsets[v + 1]!; entry++) {
      const at = next[numbers[ids[entry]!]!]!++;
      columns.ids[at] = v;
      columns.logWeights[at] = logWeights[entry]!;
    }
  }
  const rows = { offsets, ids: ids.map((id) => numbers[id]!), logWeights };
  return { rows, columns, reachable, numbers };
}

/**
 * A teacher over the tokens that the model can reach, tempered; the mass of its
 * other tokens joins the residual.
 *
 * @param rows The rows.
 * @param options The temperature counts.
 * @param projection W.
 * @returns The rows without logits and labels, V being C.
 * @throws {RangeError} If a token is none of the teacher's vocabulary.
 */
export function reachableTeacher(
  rows: LossRows<unknown>,
  { temperature = 1 }: LossOptions,
  { numbers, reachable }: ReachableProjection,
): Omit<LossRows, "logits"> {
  const { topK } = rows;
  const fusedProbs = rows.fusedProbs.slice();
  const fusedResidual = rows.fusedResidual.slice();
  const fusedIds = rows.fusedIds.map((id, at) => {
    if (id < 0) return -1;
    if (id >= numbers.length) {
      throw new RangeError(
        `Cannot compute p-kl: fusedIds[${at}] is ${id}, expected less than ` +
          `the ${numbers.length} tokens of the teacher`,
      );
    }
    if (numbers[id]! < 0) {
      fusedResidual[Math.floor(at / topK)]! += fusedProbs[at]!;
      fusedProbs[at] = 0;
    }
    return numbers[id]!;
  });
  const teacher = {
    ...{ fusedIds, fusedProbs, fusedResidual, topK },
    vocabSize: reachable,
  };
  return {
    ...{ ...teacher, ...temperTeacher(teacher, temperature) },
    labels: new Int32Array(rows.labels.length).fill(-1),
    labelWeight: new Float32Array(rows.labels.length),
    fusedWeight: rows.fusedWeight,
  };
}
