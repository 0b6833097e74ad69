import type { PackedRow, PackedTeacher } from "#/shards/mod.ts";

/** One teacher's word on one block of T positions. */
export interface BlockTeacher {
  /** K. */
  topK: number;
  /** `[T, K]`. */
  topkIds: Int32Array;
  /** `[T, K]`. */
  topkLogprobs: Float32Array;
  /** `[T]`. */
  weight: Float32Array;
  /** Of the bytes up to where it says something again, `[T]`; else NaN. */
  labelLogprobs: Float32Array;
  /** Of the whole block. */
  bitsPerByte: number;
  /** Mean loss of the whole block by its own tokens, where it is asked for. */
  natsPerToken?: number;
}

/** A block and all that is said about it. */
export interface Block {
  /** Named in errors. */
  id: string;
  /** `[T]`. */
  inputIds: Int32Array;
  /** UTF-8 bytes of its text. */
  bytes: number;
  /** By name: `target`, and each source. */
  teachers: ReadonlyMap<string, BlockTeacher>;
}

/** A training row that may still take blocks. */
export class OpenRow {
  /** The row; what is not taken yet is padding. */
  readonly row: PackedRow;
  readonly #teachers: Record<string, Teacher>;
  readonly #across: Across;
  #taken = 0;
  #blocks = 0;

  /**
   * Start with padding.
   *
   * @param length L.
   * @param teachers Name and K of every teacher.
   * @param across Whether blocks see each other. Defaults to not at all.
   */
  constructor(
    length: number,
    teachers: ReadonlyMap<string, number>,
    across: Across = { attention: false, labels: false },
  ) {
    this.#across = across;
    this.#teachers = Object.fromEntries(
      [...teachers].map(([name, topK]) => [name, silence(length, topK)]),
    );
    this.row = {
      inputIds: new Int32Array(length),
      labels: new Int32Array(length).fill(-100),
      document: new Int32Array(length).fill(-1),
      position: new Int32Array(length),
      teachers: this.#teachers,
    };
  }

  /** Positions that are still free. */
  get room(): number {
    return this.row.inputIds.length - this.#taken;
  }

  /**
   * Put a block behind those that are there.
   *
   * @param block A block that fits.
   */
  add({ inputIds, teachers }: Block): void {
    const { row } = this;
    const start = this.#taken;
    const end = start + inputIds.length;
    const { attention, labels } = this.#across;
    row.inputIds.set(inputIds, start);
    row.labels.set(inputIds.subarray(1), start);
    if (labels && start > 0) row.labels[start - 1] = inputIds[0]!;
    row.document.fill(attention ? 0 : this.#blocks, start, end);
    for (let at = start; at < end; at++) {
      row.position[at] = attention ? at : at - start;
    }
    for (const [name, said] of teachers) {
      const teacher = this.#teachers[name]!;
      teacher.topkIds.set(said.topkIds, start * said.topK);
      teacher.topkLogprobs.set(said.topkLogprobs, start * said.topK);
      teacher.weight.set(said.weight, start);
      teacher.labelLogprobs.set(said.labelLogprobs, start);
      teacher.bitsPerByte.fill(said.bitsPerByte, start, end);
      if (said.natsPerToken !== undefined) {
        teacher.natsPerToken ??= new Float32Array(row.inputIds.length);
        teacher.natsPerToken.fill(said.natsPerToken, start, end);
      }
    }
    this.#taken = end;
    this.#blocks++;
  }
}

/** What a row keeps of a teacher. */
type Teacher = PackedTeacher & Required<Pick<PackedTeacher, "labelLogprobs">>;

/** Whether blocks of a row see each other, as published. */
export interface Across {
  /** One document for all, and positions that go on. */
  attention: boolean;
  /** The last token of a block predicts the first of the next. */
  labels: boolean;
}

function silence(length: number, topK: number): Teacher {
  return {
    topK,
    topkIds: new Int32Array(length * topK).fill(-1),
    topkLogprobs: new Float32Array(length * topK).fill(-Infinity),
    weight: new Float32Array(length),
    bitsPerByte: new Float32Array(length),
    labelLogprobs: new Float32Array(length).fill(NaN),
  };
}
