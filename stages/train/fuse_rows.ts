import { temperTeacher } from "#/kernels/losses/mod.ts";
import type { PackedRow } from "#/shards/mod.ts";
import type { Batch, FusedBatch } from "#/stages/train/batches.ts";
import {
  distributionOf,
  type FusedRow,
  type FusionName,
  fusions,
  mixture,
  type TeacherRow,
} from "#/stages/train/fusions/mod.ts";
import {
  type LmWeightSchedule,
  type LmWeightScheduleName,
  lmWeightSchedules,
} from "#/stages/train/lm_weight.ts";
import { publishedShares } from "#/stages/train/reference/published_shares.ts";
import {
  fusionDefectsOn,
  type TrainDefects,
} from "#/stages/train/reference/train_defects.ts";
import { spanBits } from "#/stages/train/spans.ts";

/** The target's own distribution, whether it teaches or not. */
const TARGET = "target";

/** How rows learn from teachers. */
export interface Distillation {
  /** How several teachers become one. */
  fusion: FusionName;
  /** θ: the difference in bits that makes one teacher e times heavier. */
  fusionTemperature: number;
  /** Which teachers take part. */
  teachers: readonly string[];
  /** λ. */
  lmWeight: number;
  /** How λ goes. */
  lmWeightSchedule: LmWeightScheduleName;
  /** What to do as published. Defaults to nothing. */
  defects?: TrainDefects;
  /** T of the teachers alone, as published. Defaults to 1. */
  teacherTemperature?: number;
}

/** When and where rows are fused. */
export interface FuseContext {
  /** Tokens of the vocabulary that the teachers' are of: the model's, mostly. */
  vocabSize: number;
  /** How much of the training is done, from 0 to less than 1. */
  progress: number;
  /** Names a row of the batch in errors. */
  nameOf: (row: number) => string;
}

/**
 * Fuse the teachers of a batch and share each row's weight with its label.
 *
 * @param batch The batch, which gets its fused distributions.
 * @param rows Its rows.
 * @param distillation How.
 * @param context When and where.
 * @throws {RangeError} If what a teacher says is no distribution over the
 * vocabulary, or the rows lack what fusion or λ need.
 */
export function fuseRows(
  batch: Batch,
  rows: readonly PackedRow[],
  distillation: Distillation,
  context: FuseContext,
): void {
  const { fusion: name, teachers, lmWeight } = distillation;
  const { vocabSize, progress, nameOf } = context;
  const fusion = fusions[name];
  const schedule = lmWeightSchedules[distillation.lmWeightSchedule];
  const temperature = distillation.fusionTemperature;
  const { defects, teacherTemperature = 1 } = distillation;
  const published = defects && fusionDefectsOn(defects).length > 0
    ? fusion.published
    : undefined;
  batch.fused = emptyFused(
    batch,
    fusion.topK(teachers.map((teacher) => rows[0]!.teachers[teacher]!.topK)),
  );
  rows.forEach((row, b) => {
    const where = nameOf(b);
    const spans = fusion.spans ? spanBits(row, teachers, where) : undefined;
    const shares = published && publishedShares(row, teachers, published, {
      ...{ defects: defects!, temperature, where },
    });
    for (let t = 0; t < batch.length; t++) {
      const label = row.labels[t]!;
      if (label < 0) continue;
      const present = teachers.flatMap((teacher) => {
        const bits = spans?.get(teacher)?.[t];
        const share = shares?.get(teacher)?.[t];
        if (share === 0) return [];
        return teacherRow(row, teacher, t, where).map((one) => ({
          ...one,
          ...tempered(one, teacherTemperature, vocabSize),
          ...bits !== undefined && !Number.isNaN(bits) && { spanBits: bits },
          ...share !== undefined && { share },
        }));
      });
      if (present.length === 0) continue;
      const one = shares
        ? fuseShares(present, vocabSize)
        : fusion.fuse(present, {
          ...{ vocabSize, label, temperature, teachers: teachers.length },
        });
      checkFused(one, vocabSize, `${teachers.join(", ")} in ${where}`, t);
      const own = schedule.own ? ownDistribution(row, t, where) : undefined;
      const lambda = (schedule as LmWeightSchedule).lmWeight({
        ...{ lmWeight, progress, fused: one, own, label, vocabSize },
      });
      store(batch, b * batch.length + t, one, lambda);
    }
  });
}

/** Teachers by shares that are theirs wherever they have a pair or not. */
function fuseShares(
  present: readonly (TeacherRow & { share?: number })[],
  vocabSize: number,
): FusedRow {
  const total = present.reduce((sum, { share }) => sum + share!, 0);
  const shares = present.map(({ share }) => share! / total);
  const fused = mixture(present, shares, vocabSize);
  // Shares in bfloat16 may sum to a little more than 1.
  return { ...fused, weight: fused.weight * Math.min(1, total) };
}

function tempered(
  { ids, logprobs }: TeacherRow,
  temperature: number,
  vocabSize: number,
): Pick<TeacherRow, "logprobs"> | undefined {
  if (temperature === 1) return undefined;
  const { ids: known, probs, residual } = distributionOf({ ids, logprobs });
  const { fusedProbs } = temperTeacher({
    fusedIds: Int32Array.from(known),
    fusedProbs: Float32Array.from(probs),
    fusedResidual: Float32Array.of(residual),
    ...{ vocabSize, topK: known.length },
  }, temperature);
  const byId = new Map(known.map((id, k) => [id, Math.log(fusedProbs[k]!)]));
  return {
    logprobs: Float32Array.from(ids, (id) => byId.get(id) ?? -Infinity),
  };
}

function emptyFused(
  { batch, length }: Batch,
  topK: number,
): FusedBatch {
  const positions = batch * length;
  return {
    topK,
    ids: new Int32Array(positions * topK).fill(-1),
    probs: new Float32Array(positions * topK),
    residual: new Float32Array(positions),
    weight: new Float32Array(positions),
  };
}

function teacherRow(
  row: PackedRow,
  name: string,
  t: number,
  where: string,
): TeacherRow[] {
  const teacher = row.teachers[name]!;
  const weight = teacher.weight[t]!;
  if (weight === 0) return [];
  const bitsPerByte = teacher.bitsPerByte[t]!;
  if (!(weight > 0 && weight <= 1) || !Number.isFinite(bitsPerByte)) {
    throw new RangeError(
      `Cannot learn from ${name} in ${where}, position ${t}: weight is ` +
        `${weight} and bits per byte ${bitsPerByte}, expected 0 to 1 and a number`,
    );
  }
  return [{ ...candidates(row, name, t), weight, bitsPerByte }];
}

function ownDistribution(row: PackedRow, t: number, where: string) {
  if (row.teachers[TARGET]) return distributionOf(candidates(row, TARGET, t));
  throw new RangeError(
    `Cannot adapt lmWeight in ${where}: there is no ${TARGET}, expected its ` +
      `own distributions, as pack writes them`,
  );
}

function candidates({ teachers }: PackedRow, name: string, t: number) {
  const { topK, topkIds, topkLogprobs } = teachers[name]!;
  return {
    ids: topkIds.subarray(t * topK, (t + 1) * topK),
    logprobs: topkLogprobs.subarray(t * topK, (t + 1) * topK),
  };
}

function checkFused(
  { ids, residual }: FusedRow,
  vocabSize: number,
  where: string,
  t: number,
): void {
  if (!Number.isNaN(residual) && ids.every((id) => id < vocabSize)) return;
  throw new RangeError(
    `Cannot learn from ${where}, position ${t}: expected logprobs of ids less ` +
      `than ${vocabSize}`,
  );
}

function store(
  { labelWeight, fused }: Batch,
  at: number,
  { ids, probs, residual, weight }: FusedRow,
  lambda: number,
): void {
  const { topK } = fused!;
  fused!.ids.set(ids, at * topK);
  fused!.probs.set(probs, at * topK);
  fused!.residual[at] = residual;
  const share = (1 - lambda) * Math.fround(weight);
  const whole = labelWeight[at]!;
  labelWeight[at] = (1 - share) * whole;
  fused!.weight[at] = share * whole;
}
