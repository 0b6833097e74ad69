/** For every code point of one text, the range in the other that it stands for. */
export interface CodePointAlignment {
  /** First index in the other text, `[N]`. */
  starts: Uint32Array;
  /** One past the last index, `[N]`; equal to the start for an insertion. */
  stops: Uint32Array;
}

/** Code points compared at once where the texts part; doubled while they do not meet. */
const WINDOW = 64;
const MAX_WINDOW = 1024;

/**
 * Align a normalized text with the text that it was made from.
 *
 * Both are walked from left to right. Code points that are equal, or equal after
 * compatibility decomposition without marks and case, face each other; marks,
 * spaces and control characters that only one side has are passed over. Where
 * that leads nowhere, a window of both is aligned by edit distance. Time is
 * linear in the texts but for a factor of the window where they differ.
 *
 * @param from Code points of the normalized text, `[N]`.
 * @param to Code points of the original, `[M]`.
 * @returns Ranges of the original, monotone.
 */
export function alignCodePoints(
  from: Uint32Array,
  to: Uint32Array,
): CodePointAlignment {
  const starts = new Uint32Array(from.length);
  const stops = new Uint32Array(from.length);
  let [i, j] = [0, 0];
  const match = (width: 0 | 1) => {
    starts[i] = j;
    j += width;
    stops[i++] = j;
  };
  // What extends a character belongs to it, what else is passed over to nobody.
  const pass = () => {
    if (i > 0 && stops[i - 1] === j && isExtending(to[j]!)) stops[i - 1]!++;
    j++;
  };
  while (i < from.length) {
    if (j < to.length && from[i] === to[j]) match(1);
    else if (j < to.length && isExtending(to[j]!)) pass();
    else if (j < to.length && isSame(from[i]!, to[j]!)) match(1);
    else if (j === to.length || isExtending(from[i]!)) match(0);
    else if (isSame(from[i]!, to[visible(to, j)] ?? -1)) {
      for (const next = visible(to, j); j < next;) pass();
    } else if (isSame(from[visible(from, i)] ?? -1, to[j]!)) {
      for (const next = visible(from, i); i < next;) match(0);
    } else {
      const path = alignWindow(from.subarray(i), to.subarray(j));
      for (const step of path) {
        if (step === "delete") pass();
        else match(step === "match" ? 1 : 0);
      }
    }
  }
  while (j < to.length && isExtending(to[j]!)) pass();
  return { starts, stops };
}

type Step = "match" | "insert" | "delete";

/** The first steps of the cheapest path through the beginnings of both. */
function alignWindow(from: Uint32Array, to: Uint32Array): Step[] {
  for (let window = WINDOW;; window *= 2) {
    const rows = Math.min(window, from.length);
    const cols = Math.min(2 * window, to.length);
    const isWhole = rows === from.length && cols === to.length;
    const { cost, path } = cheapestPath(
      from.subarray(0, rows),
      to.subarray(0, cols),
      isWhole,
    );
    if (isWhole) return path;
    // More than 2 a row: mostly substitutions, as where the gap is wider.
    if (cost > 2 * rows && window < MAX_WINDOW) continue;
    // Steps near the window's edge might be others if one saw further.
    const kept = path.slice(0, Math.ceil(path.length / 2));
    return kept.includes("match") || kept.includes("insert") ? kept : path;
  }
}

/**
 * Edit distance from all of `from` to a beginning of `to`, or to all of it: an
 * insertion or deletion costs 2, a substitution 3, an equal code point nothing.
 */
function cheapestPath(
  from: Uint32Array,
  to: Uint32Array,
  isWhole: boolean,
): { cost: number; path: Step[] } {
  const [rows, cols] = [from.length, to.length];
  const costs = new Uint32Array((rows + 1) * (cols + 1));
  const at = (row: number, col: number) => costs[row * (cols + 1) + col]!;
  const facing = (row: number, col: number) =>
    at(row - 1, col - 1) + (isSame(from[row - 1]!, to[col - 1]!) ? 0 : 3);
  for (let row = 0; row <= rows; row++) {
    for (let col = 0; col <= cols; col++) {
      costs[row * (cols + 1) + col] = row === 0
        ? 2 * col
        : col === 0
        ? 2 * row
        : Math.min(
          facing(row, col),
          at(row - 1, col) + 2,
          at(row, col - 1) + 2,
        );
    }
  }
  let [row, col] = [rows, cols];
  if (!isWhole) {
    for (let other = 0; other < cols; other++) {
      if (at(rows, other) < at(rows, col)) col = other;
    }
  }
  const cost = at(row, col);
  const path: Step[] = [];
  while (row > 0 || col > 0) {
    const step = row === 0
      ? "delete"
      : col === 0
      ? "insert"
      : at(row, col) === facing(row, col)
      ? "match"
      : at(row, col) === at(row - 1, col) + 2
      ? "insert"
      : "delete";
    path.push(step);
    if (step !== "insert") col--;
    if (step !== "delete") row--;
  }
  return { cost, path: path.reverse() };
}

const folds = new Map<number, number>();

/** What remains of a code point without form, marks and case; -1 is the end. */
function fold(point: number): number {
  if (point < 0) return point;
  const known = folds.get(point);
  if (known !== undefined) return known;
  const character = String.fromCodePoint(point);
  const folded = /[\s▁]/u.test(character)
    ? 0x20
    : character.normalize("NFKD").toLowerCase().codePointAt(0)!;
  // Bounded: there are no more than 0x110000 code points, few in any language.
  folds.set(point, folded);
  return folded;
}

function isSame(one: number, other: number): boolean {
  return one === other || fold(one) === fold(other);
}

/** Marks, vowels and finals of Hangul, joiners: part of what precedes them. */
function isExtending(point: number): boolean {
  return point >= 0x300 &&
    /^[\p{M}\u1160-\u11ff\ud7b0-\ud7ff\u200c\u200d]/u.test(
      String.fromCodePoint(point).normalize("NFKD"),
    );
}

/** Index of the first code point from `at` on that is not ignorable. */
function visible(text: Uint32Array, at: number): number {
  while (at < text.length && isIgnorable(text[at]!)) at++;
  return at;
}

/** What normalizers drop or add: spaces and what cannot be seen. */
function isIgnorable(point: number): boolean {
  return /[\s\p{C}\ufffd▁]/u.test(String.fromCodePoint(point));
}
