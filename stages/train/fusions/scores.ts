import {
  distributionOf,
  type FusionContext,
  probabilityOf,
  type TeacherRow,
} from "#/stages/train/fusions/sparse.ts";

/**
 * How little a teacher is trusted at a row, in bits: the lowest is the best.
 *
 * @param teacher The teacher's row.
 * @param context What else there is to know.
 * @returns Bits; all teachers' are of the same bytes.
 */
export type Score = (teacher: TeacherRow, context: FusionContext) => number;

/** Bits that stand for a probability of 0. */
const MOST_BITS = 1000;

/**
 * Bits per byte of the document.
 *
 * @param teacher The teacher's row.
 * @returns The score.
 */
export function byDocument({ bitsPerByte }: TeacherRow): number {
  return bitsPerByte;
}

/**
 * Bits of the span, per token of the target, or the document's bits per byte
 * where there is no span, which then holds for all teachers.
 *
 * @param teacher The teacher's row.
 * @returns The score.
 */
export function bySpan({ spanBits, bitsPerByte }: TeacherRow): number {
  return spanBits ?? bitsPerByte;
}

/**
 * Bits of the row's label under the very distribution that is to teach it.
 *
 * @param teacher The teacher's row.
 * @param context Names the label.
 * @returns The score.
 */
export function byToken(
  teacher: TeacherRow,
  { label, vocabSize }: FusionContext,
): number {
  return bitsOf(probabilityOf(distributionOf(teacher), label, vocabSize));
}

/**
 * Entropy of the distribution, its residual spread evenly over the tokens that
 * are not listed: a teacher that knows what it wants has few bits.
 *
 * @param teacher The teacher's row.
 * @param context Tells the size of the vocabulary.
 * @returns The score.
 */
export function byEntropy(
  teacher: TeacherRow,
  { vocabSize }: FusionContext,
): number {
  const { ids, probs, residual } = distributionOf(teacher);
  const others = Math.max(1, vocabSize - ids.length);
  return probs.reduce(
    (sum, p) => sum + p * bitsOf(p),
    residual > 0 ? residual * bitsOf(residual / others) : 0,
  );
}

/**
 * Bits of the most likely token: shares go as its probability, to the power of
 * 1 / (θ ln 2).
 *
 * @param teacher The teacher's row.
 * @returns The score.
 */
export function byMaxProb(teacher: TeacherRow): number {
  return bitsOf(Math.max(0, ...distributionOf(teacher).probs));
}

function bitsOf(p: number): number {
  return Math.min(MOST_BITS, -Math.log2(p));
}
