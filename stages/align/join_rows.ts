import type { RepresentationRow } from "#/shards/mod.ts";

/** What two models say about one block. */
export interface JoinedRows {
  /** What the target says. */
  targetRow: RepresentationRow;
  /** What the source says. */
  sourceRow: RepresentationRow;
}

/**
 * Bring together the representations of the same blocks, read in step.
 *
 * @param targetRows The target's.
 * @param sourceRows The source's, of the same blocks in the same order.
 * @param firstRow Number of the first row, for errors.
 * @returns The rows, two by two.
 * @throws {RangeError} If ids or texts differ, or one side ends first, naming
 * the row.
 */
export async function* joinRows(
  targetRows: AsyncIterable<RepresentationRow> | Iterable<RepresentationRow>,
  sourceRows: AsyncIterable<RepresentationRow> | Iterable<RepresentationRow>,
  firstRow: number,
): AsyncGenerator<JoinedRows> {
  const sources = iterate(sourceRows);
  let index = firstRow;
  try {
    for await (const targetRow of targetRows) {
      const { value, done } = await sources.next();
      const sourceRow: RepresentationRow | undefined = done ? undefined : value;
      checkSameBlock(targetRow, sourceRow, index++);
      yield { targetRow, sourceRow };
    }
    const extra = await sources.next();
    if (!extra.done) {
      throw new RangeError(
        `Cannot align row ${index}: the source's is block ${extra.value.id}, ` +
          `expected none, as the target's representations end there`,
      );
    }
  } finally {
    await sources.return(undefined);
  }
}

async function* iterate<Row>(
  rows: AsyncIterable<Row> | Iterable<Row>,
): AsyncGenerator<Row> {
  yield* rows;
}

function checkSameBlock(
  { id, textHash }: RepresentationRow,
  sourceRow: RepresentationRow | undefined,
  index: number,
): asserts sourceRow is RepresentationRow {
  if (!sourceRow) {
    throw new RangeError(
      `Cannot align row ${index}: the source's representations end there, ` +
        `expected block ${id} as in the target's`,
    );
  }
  if (sourceRow.id !== id) {
    throw new RangeError(
      `Cannot align row ${index}: the source's is block ${sourceRow.id}, ` +
        `expected ${id} as in the target's representations`,
    );
  }
  if (sourceRow.textHash !== textHash) {
    throw new RangeError(
      `Cannot align row ${index}: block ${id} has another text in the ` +
        `source's representations (hash ${sourceRow.textHash}), expected ` +
        `that of the target's (${textHash}): represent the same split`,
    );
  }
}
