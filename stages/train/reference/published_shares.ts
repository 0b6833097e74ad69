import type { PackedRow, PackedTeacher } from "#/shards/mod.ts";
import {
  chunkMetrics,
  type FusionDefects,
  type ShareOptions,
} from "#/stages/train/reference/reference_fusion.ts";

/** Weighs models by their metrics, as published. */
export type ShareModels = (
  metrics: readonly number[],
  options: ShareOptions,
) => number[];

/**
 * Weigh the models of a packed row, as published.
 *
 * @param row The row.
 * @param teachers Who takes part.
 * @param share How a fusion weighs them.
 * @param options Which defects, the fusion's temperature, and the row's name in
 * errors.
 * @returns A share for every teacher at every position, `[L]`; 0 on padding.
 * @throws {RangeError} If the row does not have the models' losses per token.
 */
export function publishedShares(
  row: PackedRow,
  teachers: readonly string[],
  share: ShareModels,
  { defects, temperature, where }: {
    defects: FusionDefects;
    temperature: number;
    where: string;
  },
): Map<string, Float64Array> {
  const hasTarget = teachers.includes(TARGET);
  const names = [
    ...(hasTarget ? [TARGET] : []),
    ...teachers.filter((name) => name !== TARGET),
  ];
  const { document } = row;
  const metrics = names.map((name) => {
    const values = metricsOf(row.teachers[name]!, name, defects, where);
    const known = Array.from(
      values,
      (value, t) => document[t]! < 0 ? NaN : value,
    );
    return chunkMetrics(known, defects);
  });
  const shares = names.map(() => new Float64Array(document.length));
  for (let t = 0; t < document.length; t++) {
    if (document[t]! < 0) continue;
    share(metrics.map((each) => each[t]!), { hasTarget, temperature, defects })
      .forEach((one, model) => shares[model]![t] = one);
  }
  return new Map(names.map((name, model) => [name, shares[model]!]));
}

const TARGET = "target";

function metricsOf(
  { bitsPerByte, natsPerToken }: PackedTeacher,
  name: string,
  defects: FusionDefects,
  where: string,
): Float32Array {
  if (!defects["loss-per-token"]) return bitsPerByte;
  if (natsPerToken) return natsPerToken;
  throw new RangeError(
    `Cannot weigh ${name} by its loss per token in ${where}: the dataset does ` +
      "not have it, expected one that pack has written with " +
      "--source-representations",
  );
}
