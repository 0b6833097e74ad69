/** Bits of one entry, for every element type that safetensors knows. */
export const DTYPE_BITS = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  I64: 64,
  U64: 64,
  F64: 64,
  C64: 64,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;

/** An element type of a safetensors file. */
export type Dtype = keyof typeof DTYPE_BITS;

/** An element type that weights are stored in, as options spell it. */
export type StorageDtype = "f32" | "bf16" | "f16";

/** Turns so many little-endian entries into numbers. */
export type Decode = (bytes: ArrayBuffer, entries: number) => ArrayLike<number>;

/** How stored entries become numbers; a type without a row is not read. */
const DECODERS: Partial<Record<Dtype, Decode>> = {
  F32: (bytes, entries) => new Float32Array(bytes, 0, entries),
  F16: (bytes, entries) => new Float16Array(bytes, 0, entries),
  BF16: (bytes, entries) => widenBf16(new Uint16Array(bytes, 0, entries)),
  F64: (bytes, entries) => new Float64Array(bytes, 0, entries),
  BOOL: (bytes, entries) => new Uint8Array(bytes, 0, entries),
  U8: (bytes, entries) => new Uint8Array(bytes, 0, entries),
  I8: (bytes, entries) => new Int8Array(bytes, 0, entries),
  U16: (bytes, entries) => new Uint16Array(bytes, 0, entries),
  I16: (bytes, entries) => new Int16Array(bytes, 0, entries),
  U32: (bytes, entries) => new Uint32Array(bytes, 0, entries),
  I32: (bytes, entries) => new Int32Array(bytes, 0, entries),
  U64: (bytes, entries) =>
    Float64Array.from(new BigUint64Array(bytes, 0, entries), Number),
  I64: (bytes, entries) =>
    Float64Array.from(new BigInt64Array(bytes, 0, entries), Number),
};

/**
 * The decoder of an element type.
 *
 * @param dtype The type of the stored entries.
 * @returns Little-endian bytes → numbers (exact, except for 64-bit integers
 * beyond 2^53), or `undefined` for 8-bit floats and smaller, and for complex
 * numbers, which mean nothing without what their model adds to them.
 */
export function decoderOf(dtype: Dtype): Decode | undefined {
  return DECODERS[dtype];
}

/** The safetensors name of a storage type, and how f32 is rounded to it. */
export const ENCODERS = {
  f32: { dtype: "F32", encode: (values) => values },
  bf16: { dtype: "BF16", encode: (values) => roundToBf16(values) },
  // V8 rounds a number to f16 to nearest, ties to even.
  f16: { dtype: "F16", encode: (values) => new Float16Array(values) },
} satisfies Record<
  StorageDtype,
  { dtype: Dtype; encode: (values: Float32Array) => ArrayBufferView }
>;

/**
 * Widen bfloat16 to f32, exactly.
 *
 * @param bits The upper halves of f32 bit patterns.
 * @returns One f32 per entry.
 */
export function widenBf16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

/**
 * Round f32 to bfloat16, to nearest, ties to even; a NaN stays a NaN.
 *
 * @param values The numbers.
 * @returns The upper halves of the rounded f32 bit patterns.
 */
export function roundToBf16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(
    values.buffer,
    values.byteOffset,
    values.length,
  );
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const word = words[i]!;
    const isNaN = (word & 0x7fffffff) > 0x7f800000;
    const even = (word >>> 16) & 1;
    out[i] = isNaN ? (word >>> 16) | 0x40 : (word + 0x7fff + even) >>> 16;
  }
  return out;
}
