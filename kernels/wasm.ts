/**
 * Just enough of WebAssembly's binary format to write a SIMD loop by hand.
 *
 * @see {@link https://webassembly.github.io/spec/core/binary/}
 */

/** Value types. */
export const type = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

/** Code, as bytes: instructions concatenate by nesting arrays. */
export type Code = readonly (number | Code)[];

/** One exported function. */
export interface WasmFunction {
  /** Its export's name. */
  name: string;
  /** Parameter types: locals 0, 1, … */
  params: readonly number[];
  /** Result types, at most one. */
  results: readonly number[];
  /** Types of the further locals. */
  locals: readonly number[];
  /** Its instructions, without the final `end`. */
  body: Code;
}

/** Instructions, each a function of its immediates. */
export const op = {
  get: (local: number): Code => [0x20, leb(local)],
  set: (local: number): Code => [0x21, leb(local)],
  i32: (value: number): Code => [0x41, signedLeb(value)],
  i32Add: [0x6a] as Code,
  i32Eqz: [0x45] as Code,
  i32And: [0x71] as Code,
  i32LtU: [0x49] as Code,
  f64Add: [0xa0] as Code,
  /** Repeat `body` while `condition` leaves a non-zero i32. */
  while: (condition: Code, body: Code): Code => [
    [0x02, 0x40, 0x03, 0x40],
    [condition, 0x45, 0x0d, 1],
    [body, 0x0c, 0],
    [0x0b, 0x0b],
  ],
  /** Run `body` until it leaves a zero i32. */
  doWhile: (body: Code): Code => [0x03, 0x40, body, 0x0d, 0, 0x0b],
  /** Load 16 bytes from the address on the stack plus `offset`. */
  load: (offset: number): Code => [0xfd, 0x00, 4, leb(offset)],
  /** Store 16 bytes; the stack holds the address, then the value. */
  store: (offset: number): Code => [0xfd, 0x0b, 4, leb(offset)],
  splat: [0xfd, 0x13] as Code,
  sqrt: [0xfd, 0xe3, 0x01] as Code,
  add: [0xfd, 0xe4, 0x01] as Code,
  sub: [0xfd, 0xe5, 0x01] as Code,
  mul: [0xfd, 0xe6, 0x01] as Code,
  div: [0xfd, 0xe7, 0x01] as Code,
  /** f32x4 → f64x2 of lanes 0 and 1. */
  promoteLow: [0xfd, 0x5f] as Code,
  /** The high 8 bytes of a vector, moved low; the stack holds it twice. */
  highHalf: [
    [0xfd, 0x0d],
    [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15],
  ] as Code,
  f64x2Splat: (value: number): Code => [
    0x44,
    [...new Uint8Array(Float64Array.of(value).buffer)],
    [0xfd, 0x14],
  ],
  f64x2Abs: [0xfd, 0xec, 0x01] as Code,
  f64x2Add: [0xfd, 0xf0, 0x01] as Code,
  f64x2Sub: [0xfd, 0xf1, 0x01] as Code,
  f64x2Mul: [0xfd, 0xf2, 0x01] as Code,
  f64x2Div: [0xfd, 0xf3, 0x01] as Code,
  /** The second where it is less, else the first, NaN or not: one instruction. */
  f64x2Pmin: [0xfd, 0xf6, 0x01] as Code,
  /** The second where it is more, else the first. */
  f64x2Pmax: [0xfd, 0xf7, 0x01] as Code,
  f64x2Lt: [0xfd, 0x49] as Code,
  f64x2Le: [0xfd, 0x4b] as Code,
  and: [0xfd, 0x4e] as Code,
  or: [0xfd, 0x50] as Code,
  not: [0xfd, 0x4d] as Code,
  /** 1 if any bit is set. */
  anyTrue: [0xfd, 0x53] as Code,
  f64x2Lane: (lane: number): Code => [0xfd, 0x21, lane],
} as const;

/**
 * Assemble a module that exports its functions and one memory, `memory`.
 *
 * @param functions The functions.
 * @param pages Size of the memory, in pages of 64 KiB.
 * @returns The module's bytes.
 */
export function wasmModule(
  functions: readonly WasmFunction[],
  pages: number,
): Uint8Array<ArrayBuffer> {
  const signatures = functions.map(({ params, results }): Code => [
    0x60,
    vector(params),
    vector(results),
  ]);
  const exported = functions.map(({ name }, index): Code => [
    ...text(name),
    0x00,
    leb(index),
  ]);
  const bodies = functions.map(({ locals, body }): Code =>
    sized([vector(locals.map((local) => [1, local])), body, 0x0b])
  );
  return Uint8Array.from(flatten([
    [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, vector(signatures)),
    section(3, vector(functions.map((_, index) => leb(index)))),
    section(5, vector([[0x00, leb(pages)]])),
    section(7, vector([...exported, [...text("memory"), 0x02, 0]])),
    section(10, vector(bodies)),
  ]));
}

function section(id: number, content: Code): Code {
  return [id, sized(content)];
}

function sized(content: Code): Code {
  const bytes = flatten(content);
  return [leb(bytes.length), bytes];
}

function vector(items: Code): Code {
  return [leb(items.length), items];
}

function text(value: string): number[] {
  return flatten(vector([...new TextEncoder().encode(value)]));
}

function leb(value: number): number[] {
  return value < 0x80 ? [value] : [value & 0x7f | 0x80, ...leb(value >>> 7)];
}

function signedLeb(value: number): number[] {
  const low = value & 0x7f;
  const rest = value >> 7;
  const done = rest === (low & 0x40 ? -1 : 0);
  return done ? [low] : [low | 0x80, ...signedLeb(rest)];
}

function flatten(code: Code): number[] {
  return (code as unknown[]).flat(Infinity) as number[];
}
