import { exactProduct, fusedMultiplyAdd } from "./fused_multiply_add.ts";

/** Beyond, e^x is taken from `Math.exp`: numpy's last bit is not known there. */
const LARGEST = 707.7032713517042;
/** What `Math.LN2` is short of ln 2. */
const LN2_LOW = 2.3190468138462996e-17;
/** Coefficients of r² to r⁶ in e^r. */
const C2 = 0.5000000000010838;
const C3 = 0.16666666637508337;
const C4 = 0.041666695348322125;
const C5 = 0.008332058899382488;
const C6 = 0.0014149452874381984;
/** 2^(j/16). */
const ROOTS = Float64Array.from({ length: 16 }, (_, j) => 2 ** (j / 16));

/**
 * e^x as numpy 1.24 computes it with AVX-512, to the bit.
 *
 * The published code was run there, and a row's largest cell among equal ones is
 * decided by the last bit, in which this differs from the nearest double for one
 * x in ten. e^x = 2^(n/16) · e^r with n = ⌊16 x / ln 2⌋, and a polynomial in r.
 *
 * @param x Any number.
 * @returns e^x.
 * @see {@link https://github.com/numpy/SVML}, whose `exp` for doubles this is.
 */
export function numpyExp(x: number): number {
  if (!(Math.abs(x) < LARGEST)) return Math.exp(x);
  const [high, low] = exactProduct(16 * x, Math.LOG2E);
  let n = Math.floor(high);
  if (n === high && low < 0) n--;
  const r = fusedMultiplyAdd(
    -n / 16,
    LN2_LOW,
    fusedMultiplyAdd(-n / 16, Math.LN2, x),
  );
  const root = ROOTS[n & 15]!;
  return fusedMultiplyAdd(root, expm1(r), root) * 2 ** (n >> 4);
}

/** e^r − 1 for 0 ≤ r < ln 2 / 16. */
function expm1(r: number): number {
  const r2 = r * r;
  const p56 = fusedMultiplyAdd(r, C6, C5);
  const p34 = fusedMultiplyAdd(r, C4, C3);
  const p12 = fusedMultiplyAdd(r2, C2, r);
  return fusedMultiplyAdd(r2 * r, fusedMultiplyAdd(p56, r2, p34), p12);
}
