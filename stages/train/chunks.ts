import type { PackedRow, PackedTeacher } from "#/shards/mod.ts";

/**
 * Find the chunks of a batch: the bytes between two positions at which a teacher
 * says something, with the logprob that it gives them. Of several teachers the one
 * with the lowest bits per byte of the document cuts it into chunks.
 *
 * @param rows The rows.
 * @param teachers Who teaches.
 * @param length T, the positions of a row that the batch holds.
 * @param nameOf Names a row in errors.
 * @returns The logprob of the chunk that begins at a position, `[B, T]`; NaN where
 * none does.
 * @throws {RangeError} If a teacher's logprobs of labels were not packed.
 */
export function chunkLogprobs(
  rows: readonly PackedRow[],
  teachers: readonly string[],
  length: number,
  nameOf: (row: number) => string,
): Float32Array<ArrayBuffer> {
  const chunks = new Float32Array(rows.length * length).fill(NaN);
  rows.forEach((row, b) => {
    const known = teachers.map((name) => ({
      ...row.teachers[name]!,
      labelLogprobs: packedLabels(row, name, nameOf(b)),
    }));
    const best = new Map<number, number>();
    for (let t = 0; t < length; t++) {
      const document = row.document[t]!;
      if (document < 0) continue;
      const chosen = best.get(document) ?? lowest(known, t);
      best.set(document, chosen);
      const { weight, labelLogprobs } = known[chosen]!;
      if (weight[t]! > 0) chunks[b * length + t] = labelLogprobs[t]!;
    }
  });
  return chunks;
}

/** Which teacher has the lowest bits per byte, the first of equals. */
function lowest(
  teachers: readonly Pick<PackedTeacher, "bitsPerByte">[],
  t: number,
): number {
  const bits = teachers.map(({ bitsPerByte }) => bitsPerByte[t]!);
  return bits.indexOf(Math.min(...bits));
}

function packedLabels(
  row: PackedRow,
  name: string,
  where: string,
): Float32Array {
  const { labelLogprobs } = row.teachers[name]!;
  if (labelLogprobs) return labelLogprobs;
  throw new RangeError(
    `Cannot learn from chunks of ${name} in ${where}: it has no ` +
      "label_logprobs, expected data that pack has written with them",
  );
}
