// GPUBufferUsage does not exist where there is no WebGPU.

/** Of a kernel's buffers: STORAGE | COPY_DST | COPY_SRC. */
export const STORAGE = 0x80 | 0x08 | 0x04;

/** Of buffers that are read here: MAP_READ | COPY_DST. */
export const READBACK = 0x01 | 0x08;

/** Bytes of idle buffers a pool keeps; what would go beyond is destroyed. */
const MAX_IDLE_BYTES = 256 * 2 ** 20;

/** Smallest buffer made: sizes below share one class. */
const MIN_BYTES = 256;

/**
 * Idle GPU buffers of one device, reused by size and usage.
 *
 * Deno frees a dropped buffer only at garbage collection, far too late, so
 * every buffer is either given back here or destroyed.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #idle = new Map<string, GPUBuffer[]>();
  #idleBytes = 0;

  /**
   * An empty pool.
   *
   * @param device Whose buffers to keep.
   */
  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /**
   * Take a buffer out of the pool, or make one.
   *
   * @param bytes Its least size; the buffer may be larger, and holds old data.
   * @param usage Its `GPUBufferUsage` flags.
   * @param label Shown in WebGPU's errors.
   * @returns A buffer for {@linkcode BufferPool.release} to take back.
   */
  acquire(bytes: number, usage: number, label: string): GPUBuffer {
    const size = sizeClass(bytes, this.#device.limits.maxBufferSize);
    const buffer = this.#idle.get(`${usage}:${size}`)?.pop();
    if (!buffer) return this.#device.createBuffer({ label, size, usage });
    this.#idleBytes -= size;
    buffer.label = label;
    return buffer;
  }

  /**
   * Give a buffer back.
   *
   * @param buffer An unmapped buffer of {@linkcode BufferPool.acquire}.
   */
  release(buffer: GPUBuffer): void {
    if (this.#idleBytes + buffer.size > MAX_IDLE_BYTES) {
      buffer.destroy();
      return;
    }
    const key = `${buffer.usage}:${buffer.size}`;
    const idle = this.#idle.get(key) ?? [];
    this.#idle.set(key, idle);
    idle.push(buffer);
    this.#idleBytes += buffer.size;
  }
}

const pools = new WeakMap<GPUDevice, BufferPool>();

/**
 * The pool of a device, kept as long as that lives.
 *
 * @param device Whose.
 * @returns Its pool.
 */
export function poolOf(device: GPUDevice): BufferPool {
  const known = pools.get(device) ?? new BufferPool(device);
  pools.set(device, known);
  return known;
}

/** Powers of two, so that batches of varying length meet the same buffers. */
function sizeClass(bytes: number, limit: number): number {
  const power = 2 ** Math.ceil(Math.log2(Math.max(bytes, MIN_BYTES)));
  return power <= limit ? power : Math.ceil(bytes / 4) * 4;
}
