import type { PackedRow } from "#/shards/mod.ts";

/** One run of text as tokens. */
export interface TokenSequence {
  /** The text's tokens, without a start token. */
  ids: ArrayLike<number>;
  /** The token that ends it, where it ends a document. */
  end?: number | undefined;
}

/** How many unfilled rows first fit looks through. */
const OPEN_ROWS = 64;

/**
 * Pack tokens into rows for language modelling, by first fit.
 *
 * A sequence longer than a row is cut into pieces of L labels, each of which
 * starts anew with the start token: every token is a label exactly once.
 *
 * @param length Positions of a row, L.
 * @param start The token that starts a piece; without one its first token does,
 * and is no label.
 * @returns A packer.
 */
export function tokenPacker(
  length: number,
  start: number | undefined,
): {
  /** Take one sequence in. */
  add(sequence: TokenSequence): void;
  /** All rows so far. */
  rows: readonly PackedRow[];
} {
  const rows: PackedRow[] = [];
  let open: { row: PackedRow; used: number; documents: number }[] = [];

  function addPiece(piece: ArrayLike<number>): void {
    const size = piece.length - 1;
    let slot = open.find(({ used }) => used + size <= length);
    if (!slot) {
      slot = { row: emptyRow(length), used: 0, documents: 0 };
      rows.push(slot.row);
      open.push(slot);
    }
    const { row, used } = slot;
    for (let i = 0; i < size; i++) {
      row.inputIds[used + i] = piece[i]!;
      row.labels[used + i] = piece[i + 1]!;
      row.position[used + i] = i;
    }
    row.document.fill(slot.documents++, used, used + size);
    slot.used += size;
    open = open.filter(({ used }) => used < length).slice(-OPEN_ROWS);
  }

  return {
    rows,
    add({ ids, end }) {
      const body = [...Array.from(ids), ...(end === undefined ? [] : [end])];
      if (start === undefined) {
        for (let at = 0; at + 1 < body.length; at += length) {
          addPiece(body.slice(at, at + length + 1));
        }
      } else {
        for (let at = 0; at < body.length; at += length) {
          addPiece([start, ...body.slice(at, at + length)]);
        }
      }
    },
  };
}

function emptyRow(length: number): PackedRow {
  return {
    inputIds: new Int32Array(length),
    labels: new Int32Array(length).fill(-100),
    document: new Int32Array(length).fill(-1),
    position: new Int32Array(length),
    teachers: {},
  };
}
