import { resolve } from "node:path";
import { decoderOf, type Dtype, DTYPE_BITS } from "./dtypes.ts";

/** Where one weight lies in a file. */
export interface WeightInfo {
  /** Its Hugging Face name, verbatim. */
  name: string;
  /** Type of its entries. */
  dtype: Dtype;
  /** Its shape, row-major. */
  shape: number[];
  /** Absolute path of the file. */
  file: string;
  /** Where its bytes start in the file. */
  offset: number;
  /** How many bytes it has. */
  byteLength: number;
}

/** A weight in memory. */
export interface Weight {
  /** Its shape, row-major. */
  shape: readonly number[];
  /** Its entries. */
  data: Float32Array;
}

/** What a safetensors file says of itself. */
export interface SafetensorsHeader {
  /** Every tensor by name, in the order of their bytes. */
  weights: Map<string, WeightInfo>;
  /** The free text under `__metadata__`. */
  metadata: Record<string, string>;
}

/** The longest header that the format allows, in bytes. */
const MAX_HEADER_BYTES = 100_000_000;

/** How much is read and converted at a time. */
const CHUNK_ENTRIES = 4 << 20;

/**
 * Read where the tensors of a safetensors file lie; their bytes stay on disk.
 *
 * @param file Path of the file; links are followed.
 * @returns Tensors and metadata.
 * @throws {SyntaxError} If the file is truncated, or its header is not JSON of
 * the format, or the tensors do not fill the file without holes or overlaps.
 * @see {@link https://github.com/huggingface/safetensors#format}
 */
export async function readSafetensorsHeader(
  file: string,
): Promise<SafetensorsHeader> {
  using handle = await Deno.open(file);
  const { size } = await handle.stat();
  if (size < 8) fail(file, `it has ${size} bytes, expected at least 8`);
  const prefix = new DataView((await readExactly(handle, file, 0, 8)).buffer);
  const length = prefix.getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES || length + 8n > size) {
    const most = Math.min(MAX_HEADER_BYTES, size - 8);
    fail(file, `its header length is ${length}, expected at most ${most}`);
  }
  const start = 8 + Number(length);
  const header = parseHeader(
    file,
    await readExactly(handle, file, 8, Number(length)),
  );
  const { __metadata__: metadata, ...entries } = header;
  const infos = Object.entries(entries)
    .map(([name, entry]) => parseEntry(file, name, entry, start))
    .sort((x, y) => x.offset - y.offset || x.byteLength - y.byteLength);
  checkLayout(file, infos, start, size);
  return {
    weights: new Map(infos.map((info) => [info.name, info])),
    metadata: (metadata ?? {}) as Record<string, string>,
  };
}

/**
 * Read one weight, converted to f32.
 *
 * @param info Where it lies.
 * @param into Where to write it; a new array by default.
 * @returns Its entries, row-major.
 * @throws {TypeError} If its type has no f32 meaning of its own (8-bit floats).
 * @throws {SyntaxError} If the file ends before the weight does.
 */
export async function readWeight(
  info: WeightInfo,
  into?: Float32Array,
): Promise<Float32Array> {
  const decode = decoderOf(info.dtype);
  if (!decode) {
    throw new TypeError(
      `Cannot read weight "${info.name}" of ${info.file}: its type is ` +
        `${info.dtype}, expected F32, F16, BF16 or another plain number type`,
    );
  }
  using handle = await Deno.open(info.file);
  const bytesPerEntry = DTYPE_BITS[info.dtype] / 8;
  const out = into ?? new Float32Array(info.byteLength / bytesPerEntry);
  for (let at = 0; at < out.length; at += CHUNK_ENTRIES) {
    const entries = Math.min(CHUNK_ENTRIES, out.length - at);
    const bytes = await readExactly(
      handle,
      info.file,
      info.offset + at * bytesPerEntry,
      entries * bytesPerEntry,
    );
    out.set(decode(bytes.buffer, entries), at);
  }
  return out;
}

function parseHeader(file: string, bytes: Uint8Array): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    );
  } catch (cause) {
    fail(file, "its header is not JSON", cause);
  }
  if (typeof header !== "object" || !header || Array.isArray(header)) {
    fail(file, "its header is not a JSON object");
  }
  return header as Record<string, unknown>;
}

function parseEntry(
  file: string,
  name: string,
  entry: unknown,
  start: number,
): WeightInfo {
  const { dtype, shape, data_offsets: offsets } = Object(entry);
  if (!Object.hasOwn(DTYPE_BITS, String(dtype))) {
    fail(file, `tensor "${name}" has the unknown dtype ${dtype}`);
  }
  if (!isSizes(shape)) {
    fail(file, `tensor "${name}" has the shape ${JSON.stringify(shape)}`);
  }
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    fail(file, `tensor "${name}" lies at ${JSON.stringify(offsets)}`);
  }
  const byteLength = offsets[1]! - offsets[0]!;
  const expected = shape.reduce((product, size) => product * size, 1) *
    DTYPE_BITS[dtype as Dtype] / 8;
  if (byteLength !== expected) {
    fail(
      file,
      `tensor "${name}" has ${byteLength} bytes, expected ${expected} for ` +
        `${dtype} [${shape.join(", ")}]`,
    );
  }
  return {
    name,
    dtype: dtype as Dtype,
    shape,
    file: resolve(file),
    offset: start + offsets[0]!,
    byteLength,
  };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) &&
    value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function checkLayout(
  file: string,
  infos: readonly WeightInfo[],
  start: number,
  size: number,
): void {
  const bytes = infos.reduce((sum, { byteLength }) => sum + byteLength, start);
  const beyond = infos.find((info) => info.offset + info.byteLength > size);
  if (bytes === size && beyond) {
    fail(
      file,
      `tensor "${beyond.name}" ends at byte ` +
        `${
          beyond.offset + beyond.byteLength - start
        } of the data, expected at ` +
        `most ${size - start}`,
    );
  }
  let end = start;
  for (const { name, offset, byteLength } of infos) {
    if (offset !== end) {
      fail(
        file,
        `tensor "${name}" starts at byte ${offset - start} of the data, ` +
          `expected ${end - start} (${offset < end ? "overlap" : "hole"})`,
      );
    }
    end = offset + byteLength;
  }
  if (end !== size) {
    fail(
      file,
      `the file has ${size} bytes, expected ${end}` +
        (size < end ? " (it is truncated)" : ""),
    );
  }
}

async function readExactly(
  handle: Deno.FsFile,
  file: string,
  offset: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  await handle.seek(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const read = await handle.read(bytes.subarray(filled));
    if (read === null) {
      fail(file, `it ends at byte ${offset + filled}, expected more`);
    }
    filled += read;
  }
  return bytes;
}

function fail(file: string, what: string, cause?: unknown): never {
  throw new SyntaxError(`Cannot read ${file}: ${what}`, { cause });
}
