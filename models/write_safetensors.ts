import { DTYPE_BITS, ENCODERS, type StorageDtype } from "./dtypes.ts";
import type { Weight } from "./safetensors.ts";

// Beyond `ulimit -f` the kernel sends SIGXFSZ, which ends the process unless
// someone listens; the write then fails with an error that names the file.
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGXFSZ", () => {});

/** How much is converted and written at a time. */
const CHUNK_ENTRIES = 4 << 20;

/**
 * Write a safetensors file: to a temporary name first, then renamed, so that a
 * file of this name is always whole.
 *
 * @param file Path of the file.
 * @param weights Tensors by name, written in this order.
 * @param options `dtype`: what entries are rounded to (nearest, ties to even),
 * f32 by default; `metadata`: free text, `{ format: "pt" }` by default.
 * @throws {RangeError} If a tensor's length does not fit its shape.
 */
export async function writeSafetensors(
  file: string,
  weights: ReadonlyMap<string, Weight>,
  options: { dtype?: StorageDtype; metadata?: Record<string, string> } = {},
): Promise<void> {
  const { dtype = "f32", metadata = { format: "pt" } } = options;
  const temporary = `${file}.${Deno.pid}.tmp`;
  try {
    const handle = await Deno.open(temporary, {
      write: true,
      create: true,
      truncate: true,
    });
    using _ = handle;
    await writeAll(handle, headerBytes(file, weights, dtype, metadata));
    for (const { data } of weights.values()) {
      for (let at = 0; at < data.length; at += CHUNK_ENTRIES) {
        const view = ENCODERS[dtype].encode(
          data.subarray(at, at + CHUNK_ENTRIES),
        );
        await writeAll(
          handle,
          new Uint8Array(view.buffer, view.byteOffset, view.byteLength),
        );
      }
    }
    await handle.sync();
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {});
    if (cause instanceof RangeError) throw cause;
    const why = cause instanceof Error ? cause.message : cause;
    throw new Error(`Cannot write ${file}: ${why}`, { cause });
  }
  await Deno.rename(temporary, file);
}

function headerBytes(
  file: string,
  weights: ReadonlyMap<string, Weight>,
  dtype: StorageDtype,
  metadata: Record<string, string>,
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  const stored = ENCODERS[dtype].dtype;
  let offset = 0;
  for (const [name, { shape, data }] of weights) {
    if (shape.reduce((product, size) => product * size, 1) !== data.length) {
      throw new RangeError(
        `Cannot write weight "${name}" to ${file}: it has ${data.length} ` +
          `entries, expected [${shape.join(", ")}]`,
      );
    }
    const end = offset + data.length * DTYPE_BITS[stored] / 8;
    header[name] = { dtype: stored, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}

async function writeAll(
  handle: Deno.FsFile,
  bytes: Uint8Array,
): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    written += await handle.write(bytes.subarray(written));
  }
}
