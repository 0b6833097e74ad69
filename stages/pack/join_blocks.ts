import type { AlignedRow, RepresentationRow } from "#/shards/mod.ts";
import { natsPerToken } from "#/stages/pack/nats_per_token.ts";
import type { Block, BlockTeacher } from "#/stages/pack/open_row.ts";

/** The name under which the target's own distributions are packed. */
export const TARGET = "target";

/** What one source says, block by block. */
export interface PackSource {
  /** Its name in the packed dataset. */
  name: string;
  /** Its aligned rows, in the order of the target's representations. */
  rows: AsyncIterable<AlignedRow> | Iterable<AlignedRow>;
  /** Its own representations, in the same order, where losses per token are asked for. */
  representations?: Representations;
}

/** What a model predicts, block by block. */
export type Representations =
  | AsyncIterable<RepresentationRow>
  | Iterable<RepresentationRow>;

/** A block with the first thing in it that is not a number, if there is one. */
export interface JoinedBlock extends Block {
  /** Such as `topk_logprobs of target`. */
  nan?: string;
}

/**
 * Bring together what the target and the sources say about every block.
 *
 * The datasets are read in step: the same ids in the same order, as `align`
 * leaves them.
 *
 * @param representations The target's representations.
 * @param sources The sources.
 * @param metric What a model's loss per token is, for sources with representations.
 * @returns The blocks, in order.
 * @throws {RangeError} If a source's rows are not about the same blocks, naming
 * the row.
 */
export async function* joinBlocks(
  representations: Representations,
  sources: readonly PackSource[],
  metric: (labelLogprobs: Float32Array) => number = natsPerToken,
): AsyncGenerator<JoinedBlock> {
  await using readers = new AsyncDisposableStack();
  const open = <Row>(rows: AsyncIterable<Row> | Iterable<Row>) => {
    const reader = iterate(rows);
    readers.defer(async () => void await reader.return?.(undefined));
    return reader;
  };
  const inStep = sources.map(({ name, rows, representations }) => ({
    name,
    reader: open(rows),
    own: representations && open(representations),
  }));
  const isMeasured = inStep.some(({ own }) => own);
  let index = 0;
  for await (const target of representations) {
    const teachers = new Map<string, BlockTeacher>();
    const ours = isMeasured && { natsPerToken: metric(target.labelLogprobs) };
    const itself = { ...ownTeacher(target), ...ours };
    teachers.set(TARGET, itself);
    let nan = nanIn(target) ?? nanInTeacher(itself, TARGET);
    for (const { name, reader, own } of inStep) {
      const { value, done } = await reader.next();
      const aligned = done ? undefined : value;
      checkSameBlock(aligned, target, name, index);
      const theirs = own && {
        natsPerToken: metric(await labelsOf(own, target, name, index)),
      };
      const said = { ...aligned, ...theirs };
      teachers.set(name, said);
      nan ??= nanInTeacher(said, name);
    }
    const { id, inputIds } = target;
    const block = { id, inputIds, bytes: bytesOf(target), teachers };
    yield nan === undefined ? block : { ...block, nan };
    index++;
  }
  for (const { name, reader } of inStep) {
    if ((await reader.next()).done) continue;
    throw new RangeError(
      `Cannot pack ${name}: it has more than ${index} rows, expected ` +
        `${index} as the target's representations`,
    );
  }
}

async function* iterate<Row>(
  rows: AsyncIterable<Row> | Iterable<Row>,
): AsyncGenerator<Row> {
  yield* rows;
}

/** The logprobs of a source's own labels in the block that comes next. */
async function labelsOf(
  own: AsyncGenerator<RepresentationRow>,
  { id }: RepresentationRow,
  name: string,
  index: number,
): Promise<Float32Array> {
  const { value, done } = await own.next();
  if (!done && value.id === id) return value.labelLogprobs;
  throw new RangeError(
    `Cannot pack ${name}: row ${index} of its representations is ` +
      `${done ? "absent" : `block ${value.id}`}, expected ${id} as in the ` +
      "target's representations",
  );
}

/** The target says something wherever there is a label. */
function ownTeacher(target: RepresentationRow): BlockTeacher {
  const weight = new Float32Array(target.inputIds.length).fill(1);
  weight.fill(0, -1);
  const { topK, topkIds, topkLogprobs, labelLogprobs, bitsPerByte } = target;
  return {
    ...{ topK, topkIds, topkLogprobs, labelLogprobs, weight },
    // A block without bytes has no bits per byte.
    bitsPerByte: bytesOf(target) === 0 && isNaN(bitsPerByte) ? 0 : bitsPerByte,
  };
}

function bytesOf({ byteEnds }: RepresentationRow): number {
  return byteEnds.at(-1) ?? 0;
}

function checkSameBlock(
  aligned: AlignedRow | undefined,
  target: RepresentationRow,
  name: string,
  index: number,
): asserts aligned is AlignedRow {
  if (!aligned) {
    throw new RangeError(
      `Cannot pack ${name}: it ends before row ${index}, expected ` +
        `block ${target.id} of the target's representations`,
    );
  }
  if (aligned.id !== target.id) {
    throw new RangeError(
      `Cannot pack ${name}: row ${index} is block ${aligned.id}, expected ` +
        `${target.id} as in the target's representations`,
    );
  }
  const { length } = target.inputIds;
  if (aligned.weight.length !== length) {
    throw new RangeError(
      `Cannot pack ${name}: row ${index}, block ${target.id}, has ` +
        `${aligned.weight.length} positions, expected ${length} as in the ` +
        `target's representations`,
    );
  }
}

function nanIn(target: RepresentationRow): string | undefined {
  const { labelLogprobs, byteEnds } = target;
  // The last row has no label, and a closing EOS is not scored.
  let scored = labelLogprobs.length - 1;
  if (scored > 0 && byteEnds[scored] === byteEnds[scored - 1]) scored--;
  if (nanAt(labelLogprobs.subarray(0, scored)) >= 0) {
    return `label_logprobs of ${TARGET}`;
  }
  return undefined;
}

/** As `findIndex(isNaN)`, in a tenth of its time: all that is packed is looked at. */
function nanAt(values: Float32Array): number {
  for (let at = 0; at < values.length; at++) {
    if (values[at] !== values[at]) return at;
  }
  return -1;
}

function nanInTeacher(
  { topkLogprobs, weight, bitsPerByte, natsPerToken, topK }: BlockTeacher,
  name: string,
): string | undefined {
  if (natsPerToken !== undefined && isNaN(natsPerToken)) {
    return `nats_per_token of ${name}`;
  }
  if (isNaN(bitsPerByte) && weight.some((w) => w > 0)) {
    return `bits_per_byte of ${name}`;
  }
  if (nanAt(weight) >= 0) return `weight of ${name}`;
  const at = nanAt(topkLogprobs);
  if (at < 0) return undefined;
  return `topk_logprobs of ${name} at position ${Math.floor(at / topK)}`;
}
