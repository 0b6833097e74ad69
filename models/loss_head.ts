import {
  add,
  and,
  cast,
  clip,
  concat,
  div,
  expand,
  gatherElements,
  less,
  log,
  mul,
  neg,
  reduceMax,
  reduceSum,
  reshape,
  scalar,
  scatterAdd,
  softmax,
  split,
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
  /** Gradient of their sum, `[N, V]`: the product of rows and a factor for each. */
  dlogits: Value;
}

/** What the tail is held above, so that its logarithm stays finite. */
const SMALLEST_TAIL = 1e-30;

/** What the likeliest of the few tokens of a row is held above: 83 nats. */
const SMALLEST_PROB = 1e-36;

/** How far a row's factor is held away from 0, so that it can be divided by. */
const SMALLEST_FACTOR = 1e-20;

/**
 * The training loss and its gradient, both in closed form.
 *
 * With q the model at temperature T, q_tail its probability outside the top-k
 * and s = Σ p + r (1 but for rounding), D = −Σ p log q − r log q_tail, less the
 * entropy of (p, r) for "kl". Its gradient is (s q − p) / T on the top-k and
 * (s − r / q_tail) q / T elsewhere: zero where the model equals the teacher. The
 * tail is summed, not taken from 1, since it may be far smaller than round-off.
 *
 * A softmax is the one array of `[N, V]` besides the logits. The top-k is taken out
 * of it, the rest summed, and the gradient there put in, all in place, which leaves
 * a factor for each row. The gradient of a matrix product applies it to its narrow
 * side. log Z comes from the likeliest of the top-k and the label: a row that gives
 * all of them less than 1e-36 is valued as if it gave one of them that much; its
 * gradient does not depend on it.
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
  const probs = softmax(logits);
  const weight = reshape(label.weight, ["N", 1]);
  const labels = reshape(
    where(less(label.labels, 0), 0, label.labels),
    ["N", 1],
  );
  if (!fused) {
    const { logProbs } = pick(logits, probs, labels);
    const minusOne = expand(scalar(weight, -1), weight.shape);
    return {
      crossEntropy: neg(total(mul(weight, logProbs))),
      dlogits: mul(scatterAdd(probs, labels, minusOne, 1), weight),
    };
  }
  const { ids, topK, temperature } = fused;
  const all = pick(logits, probs, concat([ids, labels], 1));
  const [logq, ce] = split(all.logProbs, 1, [topK, 1]);
  const [q] = split(all.probs, 1, [topK, 1]);
  let model: Model = { all: probs, picked: { probs: q!, logProbs: logq! } };
  if (temperature !== 1) {
    const tempered = mul(logits, 1 / temperature);
    const all = softmax(tempered);
    model = { all, picked: pick(tempered, all, ids) };
  }
  const { distance, ...teacher } = distanceHead(model, fused);
  return {
    crossEntropy: neg(total(mul(weight, ce!))),
    distance,
    dlogits: joinGradients({ probs, weight, labels }, teacher, fused),
  };
}

/** The few tokens of every row that labels and teachers name. */
interface Picked {
  /** Their probabilities, `[N, K]`. */
  probs: Value;
  /** Their logarithms, `[N, K]`. */
  logProbs: Value;
}

/** A model's probabilities, `[N, V]`, and the top-k of them. */
interface Model {
  all: Value;
  picked: Picked;
}

/** Probabilities and logprobs of some tokens, log Z by way of the likeliest. */
function pick(logits: Value, all: Value, ids: Value): Picked {
  const probs = gatherElements(all, ids);
  const picked = gatherElements(logits, ids);
  const top = clip(reduceMax(probs, [-1]), SMALLEST_PROB, 1);
  const logZ = sub(reduceMax(picked, [-1]), log(top));
  return { probs, logProbs: sub(picked, logZ) };
}

/** A distance's gradient: factor · rest, and beside it `sparse` at the ids. */
interface TeacherGradient {
  /** The model's probabilities, 0 on the top-k, `[N, V]`. */
  rest: Value;
  /** `[N, 1]`. */
  factor: Value;
  /** The model's probabilities on the top-k, `[N, K]`. */
  q: Value;
  /** `[N, K]`. */
  sparse: Value;
}

/** D, and its gradient. */
function distanceHead(
  { all, picked }: Model,
  fused: FusedRows & Distillation,
): TeacherGradient & { distance: Value } {
  const { ids, temperature } = fused;
  const weight = reshape(fused.weight, ["N", 1]);
  const hasTeacher = less(scalar(weight, 0), weight);
  const p = where(hasTeacher, fused.probs, 0);
  const r = where(hasTeacher, reshape(fused.residual, ["N", 1]), 0);
  const isKnown = less(scalar(weight, 0), p);

  const q = where(isKnown, picked.probs, 0);
  const rest = scatterAdd(all, ids, neg(q), 1);
  const tail = clip(reduceSum(rest, [-1]), SMALLEST_TAIL, 1);
  const reward = add(
    reduceSum(mul(p, picked.logProbs), [-1]),
    mul(r, log(tail)),
  );
  const d = fused.loss === "kl"
    ? sub(negativeEntropy(p, r), reward)
    : neg(reward);

  const mass = add(reduceSum(p, [-1]), r);
  const scale = mul(weight, temperature);
  return {
    distance: mul(total(mul(weight, d)), temperature ** 2),
    rest,
    factor: mul(scale, sub(mass, div(r, tail))),
    q,
    sparse: mul(scale, where(isKnown, sub(mul(q, mass), p), 0)),
  };
}

/** The gradient of labels and teachers, as rows times a factor each. */
function joinGradients(
  label: { probs: Value; weight: Value; labels: Value },
  teacher: TeacherGradient,
  { ids, weight, temperature }: FusedRows & Distillation,
): Value {
  // At temperature 1 both have one softmax, and on the top-k `rest` is zero.
  const isOne = temperature === 1;
  const isTaught = less(
    scalar(weight, 0),
    add(label.weight, reshape(weight, ["N", 1])),
  );
  const dense = awayFromZero(
    isOne ? add(teacher.factor, label.weight) : teacher.factor,
  );
  const rest = isOne
    ? teacher.rest
    : add(teacher.rest, mul(label.probs, div(label.weight, dense)));
  const known = isOne
    ? add(teacher.sparse, mul(teacher.q, label.weight))
    : teacher.sparse;
  const rows = scatterAdd(
    rest,
    concat([ids, label.labels], 1),
    div(concat([known, neg(label.weight)], 1), dense),
    1,
  );
  return mul(rows, where(isTaught, dense, 0));
}

function awayFromZero(x: Value): Value {
  const isNear = and(
    less(scalar(x, -SMALLEST_FACTOR), x),
    less(x, SMALLEST_FACTOR),
  );
  return where(isNear, SMALLEST_FACTOR, x);
}

/** Σ p log p + r log r, where 0 log 0 = 0. */
function negativeEntropy(p: Value, r: Value): Value {
  const plogp = (x: Value) => mul(x, log(clip(x, 1e-30, 2)));
  return add(reduceSum(plogp(p), [-1]), plogp(r));
}

function total(x: Value): Value {
  return reshape(reduceSum(cast(x, "float32"), [0, 1]), []);
}
