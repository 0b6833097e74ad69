import {
  checkLossRows,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { prepareTeacher } from "#/kernels/losses/prepare_teacher.ts";
import { residuals } from "#/kernels/losses/residuals.ts";

/** A loss as a sum over outcomes, each with p by the teacher and q by the model. */
export interface OutcomeTerm {
  /**
   * d(p, q).
   *
   * @param p The teacher's probability.
   * @param logQ The model's logprob.
   * @param token The token; −1 for the whole tail.
   */
  value(p: number, logQ: number, token: number): number;
  /**
   * q ∂d/∂q, which stays finite where q vanishes.
   *
   * @param p The teacher's probability.
   * @param logQ The model's logprob.
   * @param token The token; −1 for the whole tail.
   */
  pull(p: number, logQ: number, token: number): number;
}

/**
 * Compute a loss that is a sum over outcomes in f64: the reference for
 * `outcomeLoss`.
 *
 * With o(v) the outcome of token v and h = q ∂d/∂q, the gradient of D by the
 * logits is (q_v / q_o h_o − q_v Σ h) / T.
 *
 * @param rows The rows.
 * @param options See {@linkcode LossOptions}.
 * @param term The loss.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other.
 */
export function outcomeLossCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions,
  term: OutcomeTerm,
): LossOutput<Float64Array> {
  checkLossRows(rows, options);
  const { labels, vocabSize, topK } = rows;
  const { temperature = 1 } = options;
  const teacher = prepareTeacher(rows, options);
  const output = {
    crossEntropy: new Float64Array(labels.length),
    distance: new Float64Array(labels.length),
    dlogits: new Float64Array(rows.logits.length),
  };
  const z = new Float64Array(vocabSize);
  for (let row = 0; row < labels.length; row++) {
    const base = row * vocabSize;
    for (let v = 0; v < vocabSize; v++) z[v] = rows.logits[base + v]!;
    const dz = output.dlogits.subarray(base, base + vocabSize);
    const label = { id: labels[row]!, weight: rows.labelWeight[row]! };
    output.crossEntropy[row] = addCrossEntropy(dz, z, label);
    for (let v = 0; v < vocabSize; v++) z[v]! /= temperature;
    const distance = addDistance(dz, z, {
      ids: rows.fusedIds.subarray(row * topK, (row + 1) * topK),
      probs: teacher.fusedProbs.subarray(row * topK, (row + 1) * topK),
      residual: teacher.fusedResidual[row]!,
      outcomes: residuals[options.residual ?? "bucket"].outcomes,
      scale: rows.fusedWeight[row]! * temperature,
    }, term);
    output.distance[row] = distance * temperature ** 2;
  }
  return output;
}

/**
 * Add the gradient of a label's cross-entropy to `dz`.
 *
 * @param dz Gradient of the logits, `[V]`.
 * @param z Logits, `[V]`.
 * @param label The label, negative where there is none, and its weight.
 * @returns −log q of the label; 0 where there is none.
 */
export function addCrossEntropy(
  dz: Float64Array,
  z: Float64Array,
  { id, weight }: { id: number; weight: number },
): number {
  if (id < 0) return 0;
  const logZ = logSumExp(z);
  for (let v = 0; v < z.length; v++) dz[v]! += weight * Math.exp(z[v]! - logZ);
  dz[id]! -= weight;
  return logZ - z[id]!;
}

const BUCKET = 1;
const SPREAD = 2;
const TAIL = -1;

/** One row's teacher, as the distance takes it. */
interface TeacherRow {
  ids: Int32Array;
  probs: Float32Array;
  residual: number;
  /** As in {@linkcode residuals}. */
  outcomes: 0 | 1 | 2;
  scale: number;
}

/** Adds the distance's gradient times `scale` to `dz` and returns D. */
function addDistance(
  dz: Float64Array,
  z: Float64Array,
  teacher: TeacherRow,
  { value, pull }: OutcomeTerm,
): number {
  const { residual, outcomes, scale } = teacher;
  const probs = tokenProbs(z.length, teacher);
  const isToken = (v: number) => !Number.isNaN(probs[v]);
  const known = logSumExp(z, isToken);
  const tail = outcomes === BUCKET
    ? logSumExp(z, (v) => !isToken(v))
    : -Infinity;
  if (Math.max(known, tail) === -Infinity) return 0;
  const logZ = logSumExp(Float64Array.of(known, tail));

  const hasTail = tail > -Infinity;
  const tailPull = hasTail ? pull(residual, tail - logZ, TAIL) : 0;
  let distance = hasTail ? value(residual, tail - logZ, TAIL) : 0;
  let pulls = tailPull;
  for (let v = 0; v < z.length; v++) {
    if (!isToken(v)) {
      if (hasTail) dz[v]! += scale * tailPull * Math.exp(z[v]! - tail);
      continue;
    }
    const h = pull(probs[v]!, z[v]! - logZ, v);
    distance += value(probs[v]!, z[v]! - logZ, v);
    pulls += h;
    dz[v]! += scale * h;
  }
  for (let v = 0; v < z.length; v++) {
    if (!isToken(v) && !hasTail) continue;
    dz[v]! -= scale * pulls * Math.exp(z[v]! - logZ);
  }
  return distance;
}

/** p of every token that is an outcome of its own, NaN for the others, `[V]`. */
function tokenProbs(
  vocabSize: number,
  { ids, probs, residual, outcomes }: TeacherRow,
): Float64Array {
  const known = ids.reduce((count, id) => id < 0 ? count : count + 1, 0);
  const each = residual / (vocabSize - known);
  const all = new Float64Array(vocabSize)
    .fill(outcomes === SPREAD ? each : NaN);
  ids.forEach((id, k) => {
    if (id >= 0) all[id] = probs[k]!;
  });
  return all;
}

/**
 * The logarithm of a sum of exponentials.
 *
 * @param z The exponents.
 * @param isIn Which of them count; all by default.
 * @returns log Σ exp z; −∞ where none counts.
 */
export function logSumExp(
  z: Float64Array,
  isIn: (v: number) => boolean = () => true,
): number {
  let top = -Infinity;
  for (let v = 0; v < z.length; v++) if (isIn(v)) top = Math.max(top, z[v]!);
  if (top === -Infinity) return top;
  let sum = 0;
  for (let v = 0; v < z.length; v++) if (isIn(v)) sum += Math.exp(z[v]! - top);
  return top + Math.log(sum);
}
