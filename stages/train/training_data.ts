import type { PackedRow } from "#/shards/mod.ts";

/** A teacher's own vocabulary. */
export interface SourceVocabulary {
  /** How many tokens it has. */
  vocabSize: number;
  /** Hash of its tokenizer's files. */
  tokenizer: string;
}

/** Rows to train on, readable in any order. */
export interface TrainingData {
  /** Names the data in errors. */
  readonly name: string;
  /** How many rows there are. */
  readonly rows: number;
  /** Positions of a row, L. */
  readonly length: number;
  /** K of every teacher the rows bring, by name. */
  readonly teachers: Readonly<Record<string, number>>;
  /** The teachers whose tokens are their own instead of the model's, by name. */
  readonly sourceTokens?: Readonly<Record<string, SourceVocabulary>>;
  /** Changes when the rows do: a run resumes only on the data it began with. */
  readonly digest: string;
  /** UTF-8 bytes of the text behind the rows, where known. */
  readonly bytes?: number;
  /**
   * Read one row.
   *
   * @param row Which, from 0.
   * @returns Its arrays, all of `length` positions.
   */
  read(row: number): Promise<PackedRow>;
}

/**
 * Several data as one, in order.
 *
 * @param parts The data, at least one, of equal row length and teachers.
 * @returns All of their rows.
 * @throws {RangeError} If there is no row, or lengths or teachers differ.
 */
export function concatData(parts: readonly TrainingData[]): TrainingData {
  const [first] = parts;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  if (!first || rows === 0) {
    throw new RangeError(
      `Cannot read rows of ${parts.map(({ name }) => name).join(", ")}: ` +
        "it has none",
    );
  }
  for (const part of parts) checkAlike(first, part);
  if (parts.length === 1) return first;
  return {
    name: parts.map(({ name }) => name).join(", "),
    rows,
    length: first.length,
    teachers: first.teachers,
    ...first.sourceTokens && { sourceTokens: first.sourceTokens },
    digest: parts.map(({ digest }) => digest).join(" "),
    ...(parts.every(({ bytes }) => bytes !== undefined)
      ? { bytes: parts.reduce((sum, { bytes }) => sum + bytes!, 0) }
      : {}),
    async read(row) {
      for (const part of parts) {
        if (row < part.rows) return await part.read(row);
        row -= part.rows;
      }
      throw new RangeError(`Cannot read row ${row} past the end of the data`);
    },
  };
}

function checkAlike(first: TrainingData, part: TrainingData): void {
  const describe = ({ length, teachers, sourceTokens }: TrainingData) =>
    `rows of ${length} with teachers ` +
    (Object.entries(teachers).map(([name, k]) =>
      `${name} (top ${k}${sourceTokens?.[name] ? " of its own tokens" : ""})`
    ).sort().join(", ") || "none");
  if (describe(first) !== describe(part)) {
    throw new RangeError(
      `Cannot train on ${first.name} and ${part.name} together: ` +
        `${describe(first)} against ${describe(part)}`,
    );
  }
}
