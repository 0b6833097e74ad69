import {
  add,
  cast,
  clip,
  concat,
  div,
  gatherElements,
  less,
  log,
  mul,
  neg,
  reduceMax,
  reduceSum,
  reshape,
  scatterAdd,
  softmax,
  sub,
  type Value,
  where,
} from "#/onnx/mod.ts";

/** How far a row is from its fused distribution. */
export interface Distillation {
  /** Entries K of a row's fused distribution. */
  topK: number;
  /** Cross-entropy, or the Kullback-Leibler divergence: the same less a constant. */
  loss: "cross-entropy" | "kl";
  /** Divides the model's logits; the fused distribution comes in tempered. */
  temperature: number;
}

/** What rows learn from their labels. */
export interface LabelRows {
  /** int64 `[N]`; negative where there is none. */
  labels: Value;
  /** f32 `[N]`. */
  weight: Value;
}

/** What rows learn from fused distributions. */
export interface FusedRows {
  /** int64 `[N, K]`; padding has probability 0. */
  ids: Value;
  /** f32 `[N, K]`. */
  probs: Value;
  /** f32 `[N]`. */
  residual: Value;
  /** f32 `[N]`; 0 where there is none. */
  weight: Value;
}

/** A loss, and its gradient by the logits. */
export interface LossHead {
  /** Σ weight · CE(label), f32 `[]`. */
  crossEntropy: Value;
  /** Σ weight · D · T², f32 `[]`; `undefined` without distillation. */
  distance?: Value;
  /** Gradient of their sum, `[N, V]`. */
  dlogits: Value;
}

/** What the tail is held above, so that its logarithm stays finite. */
const SMALLEST_TAIL = 1e-30;

/**
 * The training loss and its gradient, both in closed form.
 *
 * With q the model at temperature T, q_tail its probability outside the top-k
 * and s = Σ p + r (1 but for rounding), D = −Σ p log q − r log q_tail, less the
 * entropy of (p, r) for "kl". Its gradient is (s q − p) / T on the top-k and
 * (s − r / q_tail) q / T elsewhere: zero where the model equals the teacher. The
 * tail is summed, not taken from 1, since it may be far smaller than round-off.
 *
 * @param logits `[N, V]`.
 * @param label Labels and weights.
 * @param fused The fused distributions; only labels by default.
 * @returns Values and gradient.
 */
export function lossHead(
  logits: Value,
  label: LabelRows,
  fused?: FusedRows & Distillation,
): LossHead {
  const { probs, logZ } = normalizer(logits);
  const weight = reshape(label.weight, ["N", 1]);
  const labels = reshape(
    where(less(label.labels, 0), 0, label.labels),
    ["N", 1],
  );
  const ce = sub(logZ, gatherElements(logits, labels));
  const crossEntropy = total(mul(weight, ce));
  if (!fused) {
    const dlogits = scatterAdd(mul(probs, weight), labels, neg(weight), 1);
    return { crossEntropy, dlogits };
  }
  const { distance, dense, sparse } = distanceHead(
    logits,
    { probs, logZ },
    fused,
  );
  // At T = 1 one product serves both parts: on the top-k, `rest` is zero.
  const { rest, factor, q } = dense;
  const known = fused.temperature === 1 ? add(sparse, mul(q, weight)) : sparse;
  const base = fused.temperature === 1
    ? mul(rest, add(factor, weight))
    : add(mul(rest, factor), mul(probs, weight));
  // One scatter for both: each copies all the logits.
  const dlogits = scatterAdd(
    base,
    concat([fused.ids, labels], 1),
    concat([known, neg(weight)], 1),
    1,
  );
  return { crossEntropy, distance, dlogits };
}

/** D, and its gradient as factor · rest plus sparse at the ids. */
function distanceHead(
  logits: Value,
  plain: { probs: Value; logZ: Value },
  fused: FusedRows & Distillation,
) {
  const { ids, temperature } = fused;
  const weight = reshape(fused.weight, ["N", 1]);
  const hasTeacher = less(weight.tape.constant("float32", [], [0]), weight);
  const p = where(hasTeacher, fused.probs, 0);
  const r = where(hasTeacher, reshape(fused.residual, ["N", 1]), 0);
  const isKnown = less(weight.tape.constant("float32", [], [0]), p);

  const tempered = temperature === 1 ? logits : mul(logits, 1 / temperature);
  const { probs, logZ } = temperature === 1 ? plain : normalizer(tempered);
  const q = where(isKnown, gatherElements(probs, ids), 0);
  const rest = scatterAdd(probs, ids, neg(q), 1);
  const tail = clip(reduceSum(rest, [-1]), SMALLEST_TAIL, 1);

  const logq = sub(gatherElements(tempered, ids), logZ);
  const reward = add(reduceSum(mul(p, logq), [-1]), mul(r, log(tail)));
  const d = fused.loss === "kl"
    ? sub(negativeEntropy(p, r), reward)
    : neg(reward);

  const mass = add(reduceSum(p, [-1]), r);
  const scale = mul(weight, temperature);
  return {
    distance: mul(total(mul(weight, d)), temperature ** 2),
    dense: { rest, q, factor: mul(scale, sub(mass, div(r, tail))) },
    sparse: mul(scale, where(isKnown, sub(mul(q, mass), p), 0)),
  };
}

/** Σ p log p + r log r, where 0 log 0 = 0. */
function negativeEntropy(p: Value, r: Value): Value {
  const plogp = (x: Value) => mul(x, log(clip(x, 1e-30, 2)));
  return add(reduceSum(plogp(p), [-1]), plogp(r));
}

/** Softmax, and the logarithm of its denominator by way of the largest entry. */
function normalizer(logits: Value): { probs: Value; logZ: Value } {
  const probs = softmax(logits);
  const top = log(reduceMax(probs, [-1]));
  return { probs, logZ: sub(reduceMax(logits, [-1]), top) };
}

function total(x: Value): Value {
  return reshape(reduceSum(cast(x, "float32"), [0, 1]), []);
}
