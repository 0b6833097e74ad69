import { requestDevice } from "#/kernels/device.ts";
import { losses } from "#/kernels/losses/mod.ts";
import { hashInput } from "#/shards/mod.ts";
import { switchedOn } from "#/stages/reference_switches.ts";
import type { BatchOptions } from "#/stages/train/batches.ts";
import { fusions } from "#/stages/train/fusions/mod.ts";
import type { ModelSource } from "#/stages/train/model_source.ts";
import { chooseTeachers, type TrainOptions } from "#/stages/train/options.ts";
import { isInGraph, type LossHome } from "#/stages/train/passes.ts";
import type { SavedState } from "#/stages/train/run_directory.ts";
import type { TrainingData } from "#/stages/train/training_data.ts";

/** What a run will do, before it does anything. */
export interface StepPlan {
  /** Updates. */
  steps: number;
  /** How rows become batches. */
  batches: BatchOptions;
  /** Top-k of the fused distributions; 0 without teachers. */
  topK: number;
  /** Where the loss is computed. */
  lossOn: LossHome;
  /**
   * All that decides the numbers, but for their last bits; a run resumes only as
   * what it was.
   */
  identity: Record<string, unknown>;
}

/**
 * Plan a run, and check that model, data and options fit each other.
 *
 * @param model What is trained.
 * @param data What it learns from.
 * @param options How.
 * @returns The plan.
 * @throws {RangeError} If rows are longer than the model's context, or a teacher
 * is not in the data.
 */
export async function planSteps(
  model: ModelSource,
  data: TrainingData,
  options: TrainOptions,
): Promise<StepPlan> {
  checkLength(model, data);
  const teachers = chooseTeachers(data, options);
  const { batchSize, accumulate, seed } = options;
  const { fusion, fusionTemperature, lmWeight, lmWeightSchedule } = options;
  const perStep = batchSize * accumulate;
  const steps = options.steps ??
    Math.ceil(options.epochs * data.rows / perStep);
  const totalRows = options.steps
    ? options.steps * perStep
    : Math.ceil(options.epochs * data.rows);
  const lossOn = await chooseHome(options, teachers.length > 0);
  const topKs = teachers.map((name) => data.teachers[name]!);
  return {
    steps,
    batches: {
      batchSize,
      accumulate,
      seed,
      totalRows,
      vocabSize: model.vocabSize,
      ofChunks: losses[options.loss].ofChunks,
      teacherVocabSize: losses[options.loss].projects
        ? options.projection?.vocabSize
        : undefined,
      ...teachers.length > 0 && {
        distillation: {
          ...{ fusion, fusionTemperature, teachers, lmWeight },
          lmWeightSchedule,
          defects: options.defects,
          teacherTemperature: options.defects["teacher-temperature"]
            ? options.temperature
            : 1,
        },
      },
    },
    topK: teachers.length > 0 ? fusions[fusion].topK(topKs) : 0,
    lossOn,
    identity: {
      ...pick(options, IDENTITY),
      ...teachers.length > 0 && pick(options, DISTILLATION_IDENTITY),
      ...teachers.length > 0 && switchedOn(options.defects),
      ...options.matched && { matched: checksum(options.matched) },
      ...options.projection && {
        projection: checksum(options.projection.ids),
      },
      teachers,
      steps,
      totalRows,
      lossOn,
      model: model.weights ? await hashInput(model.weights) : model.config,
      data: data.digest,
    },
  };
}

function checksum(values: Uint32Array): number {
  return values.reduce((sum, one) => Math.imul(sum, 31) + one | 0, 0);
}

/** The home of the loss that `auto` stands for, which says so where it is slow. */
async function chooseHome(
  options: TrainOptions,
  hasTeachers: boolean,
): Promise<LossHome> {
  if (options.lossOn !== "auto") return options.lossOn;
  // The graph needs no device, and without a real GPU it is faster, too.
  if (!hasTeachers || isInGraph(options)) return "graph";
  const device = await requestDevice();
  device?.destroy();
  if (device) return "webgpu";
  const note =
    `train: no WebGPU adapter was found; ${options.loss} runs on the ` +
    "CPU, by its f64 reference\n";
  await Deno.stderr.write(new TextEncoder().encode(note));
  return "cpu";
}

/**
 * Check that a run to go on with is the one that was planned.
 *
 * @param last What there is of it, if anything.
 * @param identity What is planned.
 * @throws {Error} If they differ, naming in what.
 */
export function checkSame(
  last: SavedState | undefined,
  identity: Record<string, unknown>,
): void {
  if (!last) return;
  const before = last.state.options;
  const names = new Set([...Object.keys(before), ...Object.keys(identity)]);
  const shown = (value: unknown) => JSON.stringify(value) ?? "absent";
  for (const name of names) {
    const [was, is] = [shown(before[name]), shown(identity[name])];
    if (was === is) continue;
    throw new Error(
      `Cannot resume from ${last.directory}: ${name} was ${was}, now it is ${is}`,
    );
  }
}

const IDENTITY = [
  "batchSize",
  "accumulate",
  "learningRate",
  "beta1",
  "beta2",
  "epsilon",
  "weightDecay",
  "maxGradNorm",
  "warmupRatio",
  "schedule",
  "seed",
] as const;

const DISTILLATION_IDENTITY = [
  "lmWeight",
  "lmWeightSchedule",
  "fusion",
  "fusionTemperature",
  "loss",
  "residual",
  "beta",
  "temperature",
] as const;

function pick(
  options: TrainOptions,
  names: readonly (keyof TrainOptions)[],
): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, options[name]]));
}

function checkLength(
  { directory, contextLength }: ModelSource,
  data: TrainingData,
): void {
  if (data.length <= contextLength) return;
  throw new RangeError(
    `Cannot train ${directory} on ${data.name}: its rows have ${data.length} ` +
      `positions, expected at most the model's context of ${contextLength}`,
  );
}
