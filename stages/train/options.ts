import {
  losses,
  type LossName,
  type Projection,
  type ResidualName,
  residuals,
} from "#/kernels/losses/mod.ts";
import type { StorageDtype } from "#/models/dtypes.ts";
import { switchesOf } from "#/stages/reference_switches.ts";
import {
  type Fusion,
  type FusionName,
  fusions,
} from "#/stages/train/fusions/mod.ts";
import {
  type LmWeightScheduleName,
  lmWeightSchedules,
} from "#/stages/train/lm_weight.ts";
import { isInGraph, type LossHome, lossHomes } from "#/stages/train/passes.ts";
import {
  fusionDefectsOn,
  type TrainDefects,
  trainDefects,
} from "#/stages/train/reference/train_defects.ts";
import { type ScheduleName, schedules } from "#/stages/train/schedule.ts";
import type { TrainingData } from "#/stages/train/training_data.ts";

/** How to train. */
export interface TrainOptions {
  /** λ: how much of a row with a teacher its label keeps. Defaults to 0.9. */
  lmWeight: number;
  /** How λ goes from row to row. Defaults to `fixed`. */
  lmWeightSchedule: LmWeightScheduleName;
  /** How several teachers become one. Defaults to `min-ce`. */
  fusion: FusionName;
  /**
   * θ: the difference in bits that makes one teacher e times heavier, for the
   * fusions that mix. Defaults to 1.
   */
  fusionTemperature: number;
  /** The distance to the fused distribution. Defaults to `cross-entropy`. */
  loss: LossName;
  /** What becomes of the fused distribution's residual. Defaults to `bucket`. */
  residual: ResidualName;
  /** β of the losses that mix teacher and model. Defaults to 0.5. */
  beta: number;
  /**
   * Which tokens the sources' vocabularies know, `[V]`: nonzero. The hybrid losses
   * ask for it; see `matchedTokens`.
   */
  matched: Uint32Array<ArrayBuffer> | undefined;
  /**
   * How the model's tokens are written in the teacher's vocabulary. P-KL asks for
   * it; see `readProjection`.
   */
  projection: Projection | undefined;
  /**
   * Where the loss is computed: in the training graph, which holds cross-entropy
   * and KL with the residual a bucket or zero; by a kernel, which has to move the
   * logits to the GPU; or by the kernel's f64 reference. Defaults to `auto`: the
   * graph where it can, else the GPU where there is one.
   */
  lossOn: LossHome | "auto";
  /**
   * Go through the model block by block and compute a block's activations again
   * where its gradient needs them: less memory, more time, results that differ in
   * the last bits at most. Defaults to `auto`: where the whole would not fit into
   * the memory that is free; of a block's products, which take longest, as many are
   * kept as do fit.
   */
  recompute: boolean | "auto";
  /** GB that the process may take, as far as `recompute: "auto"` can help. Defaults to what is free. */
  memory: number | undefined;
  /** Temperature of both sides of the distance. Defaults to 1. */
  temperature: number;
  /** What to do as published. Defaults to nothing. */
  defects: TrainDefects;
  /**
   * Which teachers take part, of `target` and the sources. Defaults to all in
   * the data; the target alone teaches only where it is asked to.
   */
  teachers: readonly string[] | undefined;
  /** Updates. Defaults to what `epochs` need. */
  steps: number | undefined;
  /** Times that all rows are seen, where `steps` says nothing. Defaults to 1. */
  epochs: number;
  /** Rows of one forward pass. Defaults to 8. */
  batchSize: number;
  /** Forward passes of one update. Defaults to 1. */
  accumulate: number;
  /** Peak of the learning rate. Defaults to 1e-5. */
  learningRate: number;
  /** Decay of AdamW's first moment. Defaults to 0.9. */
  beta1: number;
  /** Decay of its second moment. Defaults to 0.95. */
  beta2: number;
  /** Added to the square root of its second moment. Defaults to 1e-8. */
  epsilon: number;
  /** Decoupled decay of matrices that are no embeddings. Defaults to 0.1. */
  weightDecay: number;
  /** Longest gradient; longer ones are scaled to it. Defaults to 1. */
  maxGradNorm: number;
  /** Share of the updates that warm up. Defaults to 0.008. */
  warmupRatio: number;
  /** How the learning rate falls. Defaults to `cosine`. */
  schedule: ScheduleName;
  /** Of the data's order, and of weights drawn from scratch. Defaults to 0. */
  seed: number;
  /** Updates from one line of metrics to the next. Defaults to 1. */
  logEvery: number;
  /** Updates from one validation to the next; 0, the default, is only the end. */
  evalEvery: number;
  /** Updates from one checkpoint to the next; 0 is none. Defaults to 500. */
  saveEvery: number;
  /** Checkpoints that stay. Defaults to 1. */
  keep: number;
  /** What the trained model's weights are rounded to. Defaults to f32. */
  dtype: StorageDtype;
  /** Threads of onnxruntime; results depend on them in the last bits. */
  threads: number | undefined;
}

/** The defaults: those of the published runs, where there are any. */
export const trainDefaults: TrainOptions = {
  lmWeight: 0.9,
  lmWeightSchedule: "fixed",
  fusion: "min-ce",
  fusionTemperature: 1,
  loss: "cross-entropy",
  residual: "bucket",
  beta: 0.5,
  matched: undefined,
  projection: undefined,
  lossOn: "auto",
  recompute: "auto",
  memory: undefined,
  temperature: 1,
  defects: switchesOf(trainDefects, []),
  teachers: undefined,
  steps: undefined,
  epochs: 1,
  batchSize: 8,
  accumulate: 1,
  learningRate: 1e-5,
  beta1: 0.9,
  beta2: 0.95,
  epsilon: 1e-8,
  weightDecay: 0.1,
  maxGradNorm: 1,
  warmupRatio: 0.008,
  schedule: "cosine",
  seed: 0,
  logEvery: 1,
  evalEvery: 0,
  saveEvery: 500,
  keep: 1,
  dtype: "f32",
  threads: undefined,
};

/**
 * Check options at the edge.
 *
 * @param options The options.
 * @throws {RangeError} If one of them has no meaning.
 */
export function checkOptions(options: TrainOptions): void {
  const isWhole = (value: number) => Number.isSafeInteger(value) && value >= 1;
  const isCount = (value: number) => value === 0 || isWhole(value);
  const isShare = (value: number) => value >= 0 && value <= 1;
  const isPositive = (value: number) => value > 0 && value < Infinity;
  const rules: [keyof TrainOptions, string, (value: never) => boolean][] = [
    ["lmWeight", "0 to 1", isShare],
    [
      "lmWeightSchedule",
      Object.keys(lmWeightSchedules).join(" or "),
      (name) => name in lmWeightSchedules,
    ],
    ["fusionTemperature", "a positive number", isPositive],
    ["fusion", Object.keys(fusions).join(" or "), (name) => name in fusions],
    ["loss", Object.keys(losses).join(" or "), (name) => name in losses],
    [
      "residual",
      Object.keys(residuals).join(" or "),
      (name) => name in residuals,
    ],
    ["beta", "between 0 and 1", (beta: number) => beta > 0 && beta < 1],
    [
      "lossOn",
      ["auto", ...Object.keys(lossHomes)].join(" or "),
      (name) => name === "auto" || name in lossHomes,
    ],
    ["temperature", "a positive number", isPositive],
    ["epochs", "a positive number", isPositive],
    ["batchSize", "1 or more", isWhole],
    ["accumulate", "1 or more", isWhole],
    ["learningRate", "a positive number", isPositive],
    ["beta1", "0 to less than 1", (beta: number) => isShare(beta) && beta < 1],
    ["beta2", "0 to less than 1", (beta: number) => isShare(beta) && beta < 1],
    ["epsilon", "a positive number", isPositive],
    ["weightDecay", "0 or more", (decay: number) => decay >= 0],
    ["maxGradNorm", "a positive number", (norm: number) => norm > 0],
    ["warmupRatio", "0 to 1", isShare],
    [
      "schedule",
      Object.keys(schedules).join(" or "),
      (name) => name in schedules,
    ],
    ["logEvery", "1 or more", isWhole],
    ["evalEvery", "0 or more", isCount],
    ["saveEvery", "0 or more", isCount],
    ["keep", "1 or more", isWhole],
  ];
  for (const name of ["steps", "threads"] as const) {
    if (options[name] !== undefined) rules.push([name, "1 or more", isWhole]);
  }
  if (options.memory !== undefined) {
    rules.push(["memory", "a positive number", isPositive]);
  }
  for (const [name, expected, holds] of rules) {
    if (holds(options[name] as never)) continue;
    throw new RangeError(
      `Cannot train: ${name} is ${options[name]}, expected ${expected}`,
    );
  }
  checkLossHome(options);
  if (options.memory !== undefined && options.recompute !== "auto") {
    throw new RangeError(
      `Cannot train: memory is ${options.memory} and recompute ` +
        `${options.recompute}, expected one of the two`,
    );
  }
  checkDefects(options);
  const { loss, matched, projection, lmWeight } = options;
  if (losses[loss].projects && lmWeight < 1) {
    if (!projection) {
      throw new RangeError(
        `Cannot train: loss is ${loss} without a vocabulary mapping, expected ` +
          "that of the model's tokens to the teacher's (--vocab-mapping)",
      );
    }
    if (options.lmWeightSchedule === "adaptive") {
      throw new RangeError(
        `Cannot train: lmWeightSchedule is adaptive and loss ${loss}, expected ` +
          "another, as the label is no token of the teacher's",
      );
    }
  }
  if (losses[loss].matches && !matched && lmWeight < 1) {
    throw new RangeError(
      `Cannot train: loss is ${loss} without vocabulary mappings, expected those ` +
        "of the sources (--vocab-mapping)",
    );
  }
}

/** What is to be done as published has to be done at all. */
function checkDefects({ defects, fusion, loss }: TrainOptions): void {
  const [first] = fusionDefectsOn(defects);
  const { published }: Fusion = fusions[fusion];
  if (first !== undefined && !published) {
    throw new RangeError(
      `Cannot train: ${first} is as published and fusion is ${fusion}, expected ` +
        "min-ce or avg-ce",
    );
  }
  if (defects["teacher-temperature"] && losses[loss].ofChunks) {
    throw new RangeError(
      `Cannot train: teacher-temperature is as published and loss is ${loss}, ` +
        "expected a loss that compares distributions",
    );
  }
}

/** Only the graph recomputes, and not every loss is in the graph. */
function checkLossHome(options: TrainOptions): void {
  const { loss, residual, lossOn, recompute, lmWeight } = options;
  const isAsked = recompute === true;
  if (isAsked && lossOn !== "auto" && lossOn !== "graph") {
    throw new RangeError(
      `Cannot train: lossOn is ${lossOn} and recompute is set, expected the loss ` +
        "in the graph, or no recompute",
    );
  }
  const needsGraph = isAsked || lossOn === "graph";
  if (needsGraph && lmWeight < 1 && !isInGraph(options)) {
    throw new RangeError(
      `Cannot train: loss is ${loss} with residual ${residual}, expected ` +
        "cross-entropy or kl with bucket or zero, as the training graph holds " +
        "no other (--loss-on webgpu or cpu do, without --recompute)",
    );
  }
}

/**
 * Which teachers of the data take part.
 *
 * @param data The data.
 * @param options `teachers`, `lmWeight` and `loss` decide.
 * @returns Names; none is plain language modelling.
 * @throws {RangeError} If a teacher is asked for that the data do not have, or
 * that the loss cannot learn from.
 */
export function chooseTeachers(
  data: TrainingData,
  { teachers, lmWeight, loss }: Pick<
    TrainOptions,
    "teachers" | "lmWeight" | "loss"
  >,
): readonly string[] {
  const known = Object.keys(data.teachers);
  for (const name of teachers ?? []) {
    if (known.includes(name)) continue;
    throw new RangeError(
      `Cannot learn from teacher ${name}: ${data.name} has ` +
        `${known.join(", ") || "no teachers"}`,
    );
  }
  if (lmWeight === 1) return [];
  const chosen = teachers
    ? [...new Set(teachers)]
    : known.some((name) => name !== "target")
    ? known
    : [];
  checkTokens(data, chosen, loss);
  return chosen;
}

/** A loss that projects takes one teacher with tokens of its own, others none. */
function checkTokens(
  { name: where, sourceTokens = {} }: TrainingData,
  teachers: readonly string[],
  loss: LossName,
): void {
  const own = teachers.filter((name) => name in sourceTokens);
  if (losses[loss].projects) {
    if (teachers.length === 1 && own.length === 1) return;
    throw new RangeError(
      `Cannot train: loss is ${loss} and teachers of ${where} are ` +
        `${
          teachers.join(", ") || "none"
        }, expected one (--teachers) that has ` +
        "been aligned by source-tokens",
    );
  }
  if (own.length === 0) return;
  throw new RangeError(
    `Cannot learn from ${
      own.join(", ")
    } of ${where} by ${loss}: its tokens are ` +
      "not the model's, expected --loss p-kl, or data aligned by another method " +
      "than source-tokens",
  );
}
