/** Up to this length numpy adds without cutting in two. */
const BLOCK = 128;
/** Partial sums that numpy keeps side by side. */
const LANES = 8;
const lanes = new Float64Array(LANES);

/**
 * Sum numbers in numpy's order, which is pairwise: rounding decides which sweep
 * a stopping rule ends at.
 *
 * @param values Anything; sums of fewer than 8 are plain.
 * @param first Where to start.
 * @param end Where to end.
 * @returns The sum, to the bit.
 */
export function numpySum(
  values: ArrayLike<number>,
  first = 0,
  end: number = values.length,
): number {
  const n = end - first;
  if (n < LANES) return plainSum(0, values, first, end);
  if (n > BLOCK) {
    const half = n >> 1;
    const middle = first + half - half % LANES;
    return numpySum(values, first, middle) + numpySum(values, middle, end);
  }
  const whole = first + n - n % LANES;
  const r = lanes;
  for (let k = 0; k < LANES; k++) r[k] = values[first + k]!;
  for (let i = first + LANES; i < whole; i += LANES) {
    for (let k = 0; k < LANES; k++) r[k]! += values[i + k]!;
  }
  const sum = ((r[0]! + r[1]!) + (r[2]! + r[3]!)) +
    ((r[4]! + r[5]!) + (r[6]! + r[7]!));
  return plainSum(sum, values, whole, end);
}

function plainSum(
  sum: number,
  values: ArrayLike<number>,
  first: number,
  end: number,
): number {
  for (let i = first; i < end; i++) sum += values[i]!;
  return sum;
}
