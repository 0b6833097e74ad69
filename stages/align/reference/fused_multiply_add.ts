/** Splits a double into halves of 26 bits. */
const SPLITTER = 134217729;

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);

/** An unevaluated sum of two doubles, the second below half a unit of the first. */
export type DoublePair = readonly [high: number, low: number];

/**
 * a · b + c, rounded once.
 *
 * Neither the product nor anything within it may overflow or be subnormal.
 *
 * @param a A double.
 * @param b A double.
 * @param c A double.
 * @returns The double nearest to the exact result, ties to even.
 * @see Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums:
 * proved algorithms using rounding to odd".
 */
export function fusedMultiplyAdd(a: number, b: number, c: number): number {
  const [productHigh, productLow] = exactProduct(a, b);
  const [high, low] = exactSum(c, productLow);
  const [sumHigh, sumLow] = exactSum(productHigh, high);
  return sumHigh + sumToOdd(low, sumLow);
}

/**
 * a · b, exactly.
 *
 * @param a A double.
 * @param b A double.
 * @returns The rounded product and what it is short of.
 */
export function exactProduct(a: number, b: number): DoublePair {
  const high = a * b;
  const aHigh = SPLITTER * a - (SPLITTER * a - a);
  const bHigh = SPLITTER * b - (SPLITTER * b - b);
  const aLow = a - aHigh;
  const bLow = b - bHigh;
  const low = ((aHigh * bHigh - high) + aHigh * bLow + aLow * bHigh) +
    aLow * bLow;
  return [high, low];
}

function exactSum(a: number, b: number): DoublePair {
  const high = a + b;
  const part = high - a;
  return [high, (a - (high - part)) + (b - part)];
}

/** a + b; if this is not exact, the neighbour whose last bit is 1. */
function sumToOdd(a: number, b: number): number {
  const [high, low] = exactSum(a, b);
  if (low === 0) return high;
  double[0] = high;
  const isOdd = (words[0]! & 1) === 1;
  if (isOdd) return high;
  // Towards the exact sum: away from zero if both have one sign.
  const step = (low > 0) === (high > 0) ? 1 : -1;
  if (step === 1) {
    words[0]! += 1;
    return double[0]!;
  }
  if (words[0] === 0) words[1]! -= 1;
  words[0]! -= 1;
  return double[0]!;
}
