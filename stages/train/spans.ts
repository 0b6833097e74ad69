import type { PackedRow } from "#/shards/mod.ts";

/**
 * How many bits every teacher needs for the span that each position lies in.
 *
 * A span begins where all teachers have a pair and ends before the next such
 * position, or with the document; so it is the same bytes for all of them,
 * whatever their tokenizers. Teachers without any pair in a document have no
 * part in its spans.
 *
 * @param row A packed row.
 * @param names The teachers that take part.
 * @param where Names the row in errors.
 * @returns By teacher, bits per token of the target, `[L]`; NaN outside of spans.
 * @throws {RangeError} If the row does not have the teachers' logprobs.
 */
export function spanBits(
  row: PackedRow,
  names: readonly string[],
  where: string,
): Map<string, Float64Array> {
  const { length } = row.document;
  const bits = new Map(
    names.map((name) => [name, new Float64Array(length).fill(NaN)]),
  );
  const logprobs = new Map(
    names.map((name) => [name, logprobsOf(row, name, where)]),
  );
  for (let start = 0; start < length;) {
    const document = row.document[start]!;
    let end = start + 1;
    while (end < length && row.document[end] === document) end++;
    if (document >= 0) documentSpans(row, logprobs, { start, end }, bits);
    start = end;
  }
  return bits;
}

function logprobsOf(
  row: PackedRow,
  name: string,
  where: string,
): Float32Array {
  const { labelLogprobs } = row.teachers[name]!;
  if (labelLogprobs) return labelLogprobs;
  throw new RangeError(
    `Cannot weigh ${name} by span in ${where}: the dataset does not have its ` +
      `label_logprobs, expected one that pack has written since they are kept`,
  );
}

function documentSpans(
  { labels }: PackedRow,
  logprobs: ReadonlyMap<string, Float32Array>,
  { start, end }: { start: number; end: number },
  bits: ReadonlyMap<string, Float64Array>,
): void {
  const isPair = (each: Float32Array, t: number) => !Number.isNaN(each[t]!);
  const present = [...logprobs].filter(([, each]) => {
    for (let t = start; t < end; t++) if (isPair(each, t)) return true;
    return false;
  });
  const limits: number[] = [];
  for (let t = start; t < end; t++) {
    const isLimit = labels[t]! >= 0 &&
      present.every(([, each]) => isPair(each, t));
    if (isLimit) limits.push(t);
  }
  limits.forEach((first, index) => {
    const last = limits[index + 1] ?? end;
    let tokens = 0;
    for (let t = first; t < last; t++) if (labels[t]! >= 0) tokens++;
    for (const [name, each] of present) {
      let nats = 0;
      for (let t = first; t < last; t++) if (isPair(each, t)) nats -= each[t]!;
      bits.get(name)!.fill(nats / Math.LN2 / tokens, first, last);
    }
  });
}
