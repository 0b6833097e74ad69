import { poolOf, READBACK, STORAGE } from "./buffer_pool.ts";
import { readBack } from "./readback.ts";

/**
 * f32 values that stay on a device, so that what one kernel leaves there the next
 * one takes without a way through memory.
 *
 * @example Values go there and come back
 * ```ts
 * import assert from "node:assert/strict";
 * import { DeviceArray, requestDevice } from "#/kernels/mod.ts";
 *
 * const device = await requestDevice();
 * if (device) {
 *   using array = DeviceArray.from(device, Float32Array.of(1, 2, 3));
 *   assert.deepEqual(await array.read(), Float32Array.of(1, 2, 3));
 * }
 * device?.destroy();
 * ```
 */
export class DeviceArray implements Disposable {
  /** How many values there are. */
  readonly length: number;
  /** Where they are; it may be larger. */
  readonly buffer: GPUBuffer;
  readonly #device: GPUDevice;

  /**
   * Room for values, which may hold old ones.
   *
   * @param device Whose memory to take.
   * @param length How many values.
   */
  constructor(device: GPUDevice, length: number) {
    this.length = length;
    this.#device = device;
    this.buffer = poolOf(device).acquire(length * 4, STORAGE, "device array");
  }

  /**
   * Copy values to a device.
   *
   * @param device Where to.
   * @param values The values.
   * @returns Their copy.
   */
  static from(
    device: GPUDevice,
    values: Float32Array<ArrayBuffer>,
  ): DeviceArray {
    const array = new DeviceArray(device, values.length);
    device.queue.writeBuffer(array.buffer, 0, values);
    return array;
  }

  /**
   * Copy the values back.
   *
   * @returns The values.
   */
  async read(): Promise<Float32Array<ArrayBuffer>> {
    const pool = poolOf(this.#device);
    const bytes = this.length * 4;
    const buffer = pool.acquire(bytes, READBACK, "device array");
    const commands = this.#device.createCommandEncoder();
    commands.copyBufferToBuffer(this.buffer, 0, buffer, 0, bytes);
    this.#device.queue.submit([commands.finish()]);
    const part = { buffer, bytes, output: 0, at: 0 };
    const [values] = await readBack(pool, [part], [this.length]);
    return values!;
  }

  /** Give the memory back; work that is under way still finds it. */
  [Symbol.dispose](): void {
    poolOf(this.#device).release(this.buffer);
  }
}
