const single = new Float32Array(1);
const word = new Uint32Array(single.buffer);

/**
 * Round to bfloat16, by way of f32, ties to even.
 *
 * @param value Any number.
 * @returns The nearest number with 8 significant bits.
 */
export function bfloat16(value: number): number {
  if (Number.isNaN(value)) return value;
  single[0] = value;
  const bits = word[0]!;
  // A carry out of the mantissa raises the exponent, up to infinity.
  word[0] = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000;
  return single[0]!;
}
