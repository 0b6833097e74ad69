/**
 * Threads that a row of logits is shared out to; a power of two, for tree reductions.
 *
 * A CPU that stands in for a GPU does best with as many as it has vector lanes: more
 * wait for each other at every barrier.
 *
 * @param device Where the kernel runs.
 * @returns How many.
 */
export function rowThreads(device: GPUDevice): number {
  return device.adapterInfo.isFallbackAdapter ? 8 : 256;
}
