import type { BufferPool } from "./buffer_pool.ts";

/** A part of an output on its way back. */
export interface Readback {
  /** A buffer of the pool that can be mapped, for which a copy is submitted. */
  buffer: GPUBuffer;
  /** How much of it counts. */
  bytes: number;
  /** Which output it belongs to. */
  output: number;
  /** Where in the output it begins. */
  at: number;
}

/**
 * Wait for parts of outputs, and put them together.
 *
 * @param pool Where the parts' buffers go afterwards.
 * @param parts The parts.
 * @param lengths How long each output is.
 * @returns The outputs.
 */
export async function readBack(
  pool: BufferPool,
  parts: readonly Readback[],
  lengths: readonly number[],
): Promise<Float32Array<ArrayBuffer>[]> {
  const outputs: Float32Array<ArrayBuffer>[] = [];
  try {
    await Promise.all(parts.map(async ({ buffer, bytes, output, at }) => {
      await buffer.mapAsync(GPUMapMode.READ, 0, bytes);
      const mapped = buffer.getMappedRange(0, bytes);
      if (bytes === lengths[output]! * 4) {
        outputs[output] = new Float32Array(taken(mapped));
      } else {
        outputs[output] ??= new Float32Array(lengths[output]!);
        outputs[output].set(new Float32Array(mapped), at);
      }
      buffer.unmap();
    }));
  } catch (error) {
    for (const { buffer } of parts) buffer.destroy();
    throw error;
  }
  for (const { buffer } of parts) pool.release(buffer);
  return lengths.map((length, output) =>
    outputs[output] ?? new Float32Array(length)
  );
}

/**
 * What a mapped range holds, without copying it where that is allowed: Deno's is a
 * copy already, elsewhere it is the device's own memory and cannot be taken.
 */
function taken(mapped: ArrayBuffer): ArrayBuffer {
  try {
    return mapped.transfer();
  } catch (error) {
    if (error instanceof TypeError) return mapped.slice(0);
    throw error;
  }
}
