import { crossEntropyCpu } from "#/kernels/losses/cross_entropy/cross_entropy_cpu.ts";
import { klCpu } from "#/kernels/losses/kl/kl_cpu.ts";
import {
  labelsOnly,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/loss_rows.ts";
import { logSumExp } from "#/kernels/losses/outcomes_cpu.ts";
import {
  reachableProjection,
  reachableTeacher,
} from "#/kernels/losses/projection.ts";

/**
 * Compute X-Token's P-KL in f64: the reference for the kernel.
 *
 * The teacher keeps its own vocabulary, `fusedIds` are its tokens, and the model
 * is projected onto it: Q_u ∝ Σ_v W_vu q_v, normalized, as published, where some
 * of the model's tokens have no image. With y_u = log Σ_v W_vu e^(z_v / T),
 *
 * D = KL(p ‖ softmax(y)),  ∂D/∂z_v = 1/T Σ_u W_vu e^(z_v / T − y_u) ∂D/∂y_u.
 *
 * The teacher's tokens that no token of the model stands for are part of the
 * residual. It differs from the published loss in what it compares: rows of
 * position pairs, not means over chunks; and the top-k is not 8192 tokens of the
 * batch but each row's own.
 *
 * @param rows The rows, with a `projection`.
 * @param options See {@linkcode LossOptions}.
 * @returns Values and gradients in f64.
 * @throws {RangeError} If the arrays do not fit each other, or `projection` is
 * absent.
 * @see Turuvekere Sreenivas et al. 2026, {@link https://arxiv.org/abs/2605.21699},
 * P-KL.
 */
export function pKlCpu(
  rows: LossRows<ArrayLike<number>>,
  options: LossOptions = {},
): LossOutput<Float64Array> {
  const { crossEntropy, dlogits } = crossEntropyCpu(labelsOnly(rows), options);
  const { temperature = 1 } = options;
  const projection = reachableProjection(rows);
  const { rows: byToken, columns, reachable } = projection;
  const { vocabSize } = rows;
  const items = rows.labels.length;
  const z = Float64Array.from(rows.logits, (logit) => logit / temperature);
  const logits = new Float64Array(items * reachable);
  for (let row = 0; row < items; row++) {
    for (let u = 0; u < reachable; u++) {
      const [from, to] = [columns.offsets[u]!, columns.offsets[u + 1]!];
      const terms = Float64Array.from(
        columns.ids.subarray(from, to),
        (v, k) => columns.logWeights[from + k]! + z[row * vocabSize + v]!,
      );
      logits[row * reachable + u] = logSumExp(terms);
    }
  }
  const teacher = reachableTeacher(rows, options, projection);
  const projected = klCpu({ ...teacher, logits }, {
    ...options,
    temperature: 1,
  });
  for (let row = 0; row < items; row++) {
    for (let v = 0; v < vocabSize; v++) {
      const at = row * vocabSize + v;
      for (let k = byToken.offsets[v]!; k < byToken.offsets[v + 1]!; k++) {
        const u = row * reachable + byToken.ids[k]!;
        const share = Math.exp(byToken.logWeights[k]! + z[at]! - logits[u]!);
        dlogits[at]! += temperature * share * projected.dlogits[u]!;
      }
    }
  }
  const distance = projected.distance.map((d) => d * temperature ** 2);
  return { crossEntropy, distance, dlogits };
}
