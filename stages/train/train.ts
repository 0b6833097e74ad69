import { loadTokenizer, type Tokenizer } from "#/tokenizers/mod.ts";
import {
  type Batch,
  type StepBatch,
  stepReader,
} from "#/stages/train/batches.ts";
import {
  copyTokenizer,
  type ModelSource,
} from "#/stages/train/model_source.ts";
import {
  checkOptions,
  trainDefaults,
  type TrainOptions,
} from "#/stages/train/options.ts";
import { RemoteMethods } from "#/stages/rpc.ts";
import {
  type MetricsLine,
  RunDirectory,
  type SavedState,
  type TrainerState,
} from "#/stages/train/run_directory.ts";
import { learningRateAt } from "#/stages/train/schedule.ts";
import {
  checkSame,
  planSteps,
  type StepPlan,
} from "#/stages/train/step_plan.ts";
import type { TrainerSetup, UpdateResult } from "#/stages/train/trainer.ts";
import type { TrainingData } from "#/stages/train/training_data.ts";
import { validate } from "#/stages/train/validate.ts";
import type { TrainerMethods } from "#/stages/train/worker.ts";

export * from "./fusions/mod.ts";
export * from "./matched_tokens.ts";
export {
  type LmWeightContext,
  type LmWeightSchedule,
  type LmWeightScheduleName,
  lmWeightSchedules,
} from "./lm_weight.ts";
export * from "./model_source.ts";
export * from "./open_data.ts";
export * from "./options.ts";
export * from "./read_projection.ts";
export { type TrainDefects, trainDefects } from "./reference/train_defects.ts";
export type { ShareModels } from "./reference/published_shares.ts";
export {
  type FusionDefects,
  fusionDefects,
  type ShareOptions,
} from "./reference/reference_fusion.ts";
export { type Schedule, type ScheduleName, schedules } from "./schedule.ts";
export type { LossHome } from "./passes.ts";
export * from "./training_data.ts";

/** What to train, on what, and where to. */
export interface TrainPlan extends Partial<TrainOptions> {
  /** The model; see {@linkcode openModel}. */
  model: ModelSource;
  /** What it learns from; see {@linkcode openTrainingData}. */
  data: TrainingData;
  /** Held-out rows it is scored on. */
  validation?: TrainingData | undefined;
  /** Directory for metrics, checkpoints and the trained model. */
  out: string;
  /** Go on where `out` ends. Defaults to false: then `out` must be new. */
  resume?: boolean;
}

/** What one update came to. */
export interface TrainMetrics {
  /** Updates done. */
  step: number;
  /** Updates of the whole run. */
  steps: number;
  /** Times that all rows have been seen. */
  epoch: number;
  /** Mean over labelled rows: the sum of the two parts. */
  loss: number;
  /** The label's part of the loss. */
  crossEntropy: number;
  /** The fused distribution's part; 0 without teachers. */
  distance: number;
  /** Learning rate of the update. */
  learningRate: number;
  /** Norm of the gradient before clipping. */
  gradNorm: number;
  /** Tokens of the run so far. */
  tokens: number;
  /** Tokens a second since the program started. */
  tokensPerSecond: number;
  /** Seconds of the run so far. */
  seconds: number;
  /** Nats a token of the held-out rows, where the update was followed by a validation. */
  validationLoss?: number;
  /** Bits a byte of the held-out rows. */
  validationBitsPerByte?: number;
}

/**
 * Train a model: full fine-tuning or from scratch, on labels alone or on fused
 * distributions too.
 *
 * The model lives in a worker; here the next update's rows are read and fused
 * while it works. Metrics, checkpoints and at the end the model are written to
 * `out`. Equal plans give equal bits at a fixed number of threads, interrupted
 * and resumed or not. A run may be resumed with other `threads`, `memory` or `recompute`,
 * which change the last bits only.
 *
 * @example A hundred updates on a text file
 * ```ts
 * import { openModel, openTrainingData, train } from "#/stages/train/train.ts";
 * import { loadTokenizer } from "#/tokenizers/mod.ts";
 *
 * async function losses(directory: string, text: string): Promise<number[]> {
 *   const tokenizer = await loadTokenizer(directory);
 *   const options = { tokenizer, length: 256, split: "train" } as const;
 *   using data = await openTrainingData([text], options);
 *   const model = await openModel({ model: directory });
 *   const run = train({ model, data, out: "out/trained", steps: 100 });
 *   return await Array.fromAsync(run, ({ loss }) => loss);
 * }
 * ```
 *
 * @param plan What to train, on what, and how.
 * @returns The metrics of every update, as it is done.
 * @throws {RangeError} If model, data and options do not fit each other, or a
 * loss is not finite: the last checkpoint stays.
 * @throws {Error} If `out` exists and `resume` is not set, or its run was
 * another.
 */
export async function* train(plan: TrainPlan): AsyncGenerator<TrainMetrics> {
  const options: TrainOptions = { ...trainDefaults, ...definedOf(plan) };
  checkOptions(options);
  const steps = await planSteps(plan.model, plan.data, options);
  const { run, last } = await RunDirectory.open(plan.out, plan.resume ?? false);
  checkSame(last, steps.identity);
  if (last?.directory === plan.out) return;

  using worker = new RemoteMethods<TrainerMethods>(
    new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }),
  );
  await worker.call("open", [trainerSetup(plan, options, steps, last)]);
  const tokenizer = plan.validation &&
    await loadTokenizer(plan.model.tokenizer);
  const context = { plan, options, steps, run, worker, tokenizer };
  yield* updates(context, last?.state ?? firstState(steps, options));
  await worker.call("close", []);
}

/** What the loop of updates works with. */
interface Context {
  plan: TrainPlan;
  options: TrainOptions;
  steps: StepPlan;
  run: RunDirectory;
  worker: RemoteMethods<TrainerMethods>;
  tokenizer: Tokenizer | undefined;
}

async function* updates(
  context: Context,
  state: TrainerState,
): AsyncGenerator<TrainMetrics> {
  const { plan, options, steps: { steps, batches }, run } = context;
  const read = stepReader(plan.data, batches);
  const start = { ...state, time: performance.now() };
  let next = read(state.step + 1);
  while (state.step < steps) {
    const step = state.step + 1;
    const batch = await next;
    const learningRate = learningRateAt(step, { ...options, steps });
    const update = startUpdate(context, batch, step, learningRate);
    // The worker blocks its own thread; meanwhile this one reads.
    if (step < steps) next = read(step + 1);
    next.catch(() => {}); // thrown where it is awaited
    const result = await update;
    const sinceStart = (performance.now() - start.time) / 1000;
    state = {
      ...state,
      step,
      dataCursor: Math.min(
        step * batches.batchSize * batches.accumulate,
        batches.totalRows,
      ),
      tokens: state.tokens + batch.tokens,
      seconds: start.seconds + sinceStart,
    };
    const metrics: TrainMetrics = {
      step,
      steps,
      epoch: state.dataCursor / plan.data.rows,
      loss: result.crossEntropy + result.distance,
      ...result,
      learningRate,
      tokens: state.tokens,
      tokensPerSecond: (state.tokens - start.tokens) / sinceStart,
      seconds: state.seconds,
      ...await validation(context, step),
    };
    if (step % options.logEvery === 0 || step === steps) {
      await run.log(toLine(metrics));
    }
    await save(context, state);
    yield metrics;
  }
}

async function startUpdate(
  { worker, run }: Context,
  { batches }: StepBatch,
  step: number,
  learningRate: number,
): Promise<UpdateResult> {
  const buffers = batches.flatMap(buffersOf);
  try {
    return await worker.call("update", [batches, step, learningRate], buffers);
  } catch (error) {
    const checkpoint = await run.lastCheckpoint();
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(
      `${error.message}; ` +
        (checkpoint ? `${checkpoint} is kept` : "there is no checkpoint yet"),
    );
  }
}

async function validation(
  { plan, options, steps, tokenizer, worker }: Context,
  step: number,
): Promise<Pick<TrainMetrics, "validationLoss" | "validationBitsPerByte">> {
  const isDue = step === steps.steps ||
    (options.evalEvery > 0 && step % options.evalEvery === 0);
  if (!isDue || !plan.validation) return {};
  const { loss, bitsPerByte } = await validate(
    plan.validation,
    tokenizer!,
    options.batchSize,
    (batch) => worker.call("score", [batch], buffersOf(batch)),
  );
  return { validationLoss: loss, validationBitsPerByte: bitsPerByte };
}

async function save(
  { plan, options, steps: { steps }, run, worker }: Context,
  state: TrainerState,
): Promise<void> {
  const { saveEvery, keep, dtype } = options;
  const write = async (directory: string) => {
    await copyTokenizer(plan.model.tokenizer, directory);
    const isEnd = directory === plan.out;
    if (!isEnd) await worker.call("saveOptimizer", [directory]);
    await worker.call("saveModel", [directory, isEnd ? dtype : "f32"]);
  };
  if (state.step === steps) await run.finish(state, write);
  else if (saveEvery > 0 && state.step % saveEvery === 0) {
    await run.save(state, keep, write);
  }
}

function trainerSetup(
  { model }: TrainPlan,
  options: TrainOptions,
  { topK, lossOn }: StepPlan,
  last: SavedState | undefined,
): TrainerSetup {
  const { loss, residual, beta, matched, projection } = options;
  const { temperature, defects } = options;
  const { recompute, memory, accumulate, threads, seed } = options;
  const { beta1, beta2, epsilon, weightDecay, maxGradNorm } = options;
  return {
    config: model.config,
    weights: last?.directory ?? model.weights,
    optimizer: last?.directory,
    vocabSize: model.vocabSize,
    ...{ loss, residual, beta, matched, projection },
    // As published, the teachers come in tempered, and that is all.
    temperature: defects["teacher-temperature"] ? 1 : temperature,
    ...{ lossOn, topK },
    ...{ recompute, threads, seed },
    ...memory !== undefined && { memory: memory * 1e9 },
    accumulates: accumulate > 1,
    ...{ beta1, beta2, epsilon, weightDecay, maxGradNorm },
  };
}

function firstState(
  { steps, identity }: StepPlan,
  { seed }: TrainOptions,
): TrainerState {
  return {
    step: 0,
    steps,
    seed,
    dataCursor: 0,
    tokens: 0,
    seconds: 0,
    options: identity,
  };
}

/** The metrics under the names they have in files. */
function toLine(metrics: TrainMetrics): MetricsLine {
  const { steps: _, ...values } = metrics;
  const line: Record<string, number> = {};
  for (const [name, value] of Object.entries(values)) {
    line[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] =
      value;
  }
  return { ...line, step: metrics.step, time: Date.now() / 1000 };
}

/** What moves to the worker instead of being copied. */
function buffersOf({ fused, ...batch }: Batch): ArrayBuffer[] {
  return [...Object.values(batch), ...Object.values(fused ?? {})].flatMap(
    (value) => ArrayBuffer.isView(value) ? [value.buffer as ArrayBuffer] : [],
  );
}

/** The options that were given; an undefined one is left out. */
function definedOf(plan: TrainPlan): Partial<TrainOptions> {
  return Object.fromEntries(
    Object.keys(trainDefaults).flatMap((name) => {
      const value = plan[name as keyof TrainOptions];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
