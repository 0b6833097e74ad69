import { type BufferPool, poolOf, READBACK, STORAGE } from "./buffer_pool.ts";
import { DeviceArray } from "./device_array.ts";
import { pipelineOf, type Shader } from "./pipelines.ts";
import { type Readback, readBack } from "./readback.ts";

/** Arrays a kernel reads. */
export type KernelArray =
  | Float32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>;

/**
 * One storage buffer of a kernel, in binding order: an input, an input that
 * every item reads whole, an output, or values that stay on the device, which a
 * kernel may read or `write`.
 */
export type Binding =
  | KernelArray
  | DeviceArray
  | { readonly shared: KernelArray }
  | { readonly write: DeviceArray }
  | Output;

/** An f32 output of a kernel. */
export interface Output {
  /** How many values it has. */
  readonly length: number;
  /**
   * Whether the kernel writes every value: it then finds old data there, of which
   * it must leave none. Otherwise it finds zeros. Defaults to false.
   */
  readonly whole?: boolean;
  /**
   * Whether it is not returned: it hands values from one pass to the next.
   * Defaults to false.
   */
  readonly scratch?: boolean;
}

/** What one call of a kernel needs. */
export interface Dispatch extends Shader {
  /**
   * The shader's buffers. All but `shared` ones have `items` as their leading
   * axis, and are cut along it where they exceed a binding or a dispatch: a
   * shader reads how many items it has from `arrayLength`.
   */
  bindings: readonly Binding[];
  /** Independent problems, the leading axis of the bindings. */
  items: number;
  /** How many of them one workgroup solves. Defaults to 1. */
  itemsPerWorkgroup?: number;
  /**
   * How often to dispatch, on the same buffers: long loops are cut into passes,
   * as drivers stop a shader that runs for too long. Defaults to 1.
   */
  passes?: number;
}

/** Limits worth more than the default; asked for as far as the adapter goes. */
const RAISED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/**
 * The GPU, or `undefined` where there is none. Works in a Worker, too, which is
 * where long work belongs: waiting for a GPU blocks Deno's event loop.
 *
 * @returns A device with the adapter's own limits.
 */
export async function requestDevice(): Promise<GPUDevice | undefined> {
  // wgpu complains on stderr where it is unset, though it needs no window.
  if (Deno.build.os === "linux" && !Deno.env.get("XDG_RUNTIME_DIR")) {
    Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
  }
  const adapter = await globalThis.navigator?.gpu?.requestAdapter();
  if (!adapter) return undefined;
  return await adapter.requestDevice({
    label: adapter.info.description,
    requiredLimits: Object.fromEntries(
      RAISED_LIMITS.map((limit) => [limit, adapter.limits[limit]]),
    ),
  });
}

/**
 * Run a kernel and read its outputs back, with one synchronization however
 * large the batch is.
 *
 * @param device Where to run.
 * @param dispatch The kernel and its bindings.
 * @returns One array per {@linkcode Output} that is not scratch, in binding order.
 * @throws {RangeError} If a binding does not divide into the items, or one item
 * is larger than a binding may be.
 * @throws {Error} If WebGPU rejects the shader or its bindings.
 */
export async function run(
  device: GPUDevice,
  dispatch: Dispatch,
): Promise<Float32Array<ArrayBuffer>[]> {
  const { label, bindings, items } = dispatch;
  const lengths = bindings.filter(isReturned).map(lengthOf);
  const pool = poolOf(device);
  if (items === 0) return await readBack(pool, [], lengths);

  const chunk = itemsPerChunk(device, dispatch);
  const pipeline = await pipelineOf(device, dispatch);

  // No await between push and pop: the scopes of a device are one stack.
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  const parts: Readback[] = [];
  for (let first = 0; first < items; first += chunk) {
    const count = Math.min(chunk, items - first);
    parts.push(...submit(device, pool, pipeline, dispatch, { first, count }));
  }
  const errors = [device.popErrorScope(), device.popErrorScope()];
  for (const error of await Promise.all(errors)) {
    if (!error) continue;
    for (const { buffer } of parts) buffer.destroy();
    throw new Error(`Cannot run ${label}: ${error.message}`);
  }
  return await readBack(pool, parts, lengths);
}

/** A run of items. */
interface Chunk {
  first: number;
  count: number;
}

/**
 * Encode and submit one chunk. Its buffers go back to the pool at once: the
 * queue runs a later chunk's writes after this chunk's reads.
 */
function submit(
  device: GPUDevice,
  pool: BufferPool,
  pipeline: GPUComputePipeline,
  { label, bindings, items, itemsPerWorkgroup = 1, passes = 1 }: Dispatch,
  { first, count }: Chunk,
): Readback[] {
  const commands = device.createCommandEncoder({ label });
  const lent: GPUBuffer[] = [];
  const resources = bindings.map((binding) => {
    const stay = residentOf(binding);
    const stride = lengthOf(binding) / items * 4;
    if (stay) {
      return {
        buffer: stay.buffer,
        offset: stride * first,
        size: stride * count,
      };
    }
    const data = chunkData(binding, items, { first, count });
    const size = data?.byteLength ?? stride * count;
    const buffer = pool.acquire(size, STORAGE, label);
    lent.push(buffer);
    if (data) device.queue.writeBuffer(buffer, 0, data);
    else if (!isWhole(binding)) commands.clearBuffer(buffer, 0, size);
    return { buffer, size };
  });

  const pass = commands.beginComputePass({ label });
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      label,
      layout: pipeline.getBindGroupLayout(0),
      entries: resources.map((resource, binding) => ({ binding, resource })),
    }),
  );
  for (let i = 0; i < passes; i++) {
    pass.dispatchWorkgroups(Math.ceil(count / itemsPerWorkgroup));
  }
  pass.end();

  const readbacks: Readback[] = [];
  bindings.forEach((binding, index) => {
    if (!isReturned(binding)) return;
    const { buffer: source, size: bytes } = resources[index]!;
    const buffer = pool.acquire(bytes, READBACK, label);
    commands.copyBufferToBuffer(source, 0, buffer, 0, bytes);
    const at = lengthOf(binding) / items * first;
    readbacks.push({ buffer, bytes, output: readbacks.length, at });
  });
  device.queue.submit([commands.finish()]);
  for (const buffer of lent) pool.release(buffer);
  return readbacks;
}

function itemsPerChunk(
  device: GPUDevice,
  { label, bindings, items, itemsPerWorkgroup = 1 }: Dispatch,
): number {
  const limit = device.limits.maxStorageBufferBindingSize;
  let chunk = device.limits.maxComputeWorkgroupsPerDimension *
    itemsPerWorkgroup;
  bindings.forEach((binding, index) => {
    const length = lengthOf(binding);
    const isShared = "shared" in binding;
    const itemBytes = isShared ? length * 4 : length / items * 4;
    if (!isShared && length % items !== 0) {
      throw new RangeError(
        `Cannot run ${label}: binding ${index} has ${length} entries, ` +
          `expected a multiple of ${items} items`,
      );
    }
    if (itemBytes > limit || itemBytes === 0) {
      throw new RangeError(
        `Cannot run ${label}: binding ${index} takes ${itemBytes} bytes ` +
          `${isShared ? "in all" : "an item"}, expected 4 to ${limit}`,
      );
    }
    if (!isShared) chunk = Math.min(chunk, Math.floor(limit / itemBytes));
  });
  if (chunk >= items) return chunk;
  const step = alignedItems(device, bindings, items);
  if (chunk >= step) return chunk - chunk % step;
  throw new RangeError(
    `Cannot run ${label}: ${chunk} items fit into a binding, expected at ` +
      `least ${step}, so that parts of what is on the device begin at ` +
      `aligned offsets`,
  );
}

/** How many items lie between aligned offsets into what stays on the device. */
function alignedItems(
  device: GPUDevice,
  bindings: readonly Binding[],
  items: number,
): number {
  const alignment = device.limits.minStorageBufferOffsetAlignment;
  const steps = bindings.filter(residentOf).map((binding) => {
    const stride = lengthOf(binding) / items * 4;
    return alignment / (stride & -stride);
  });
  return Math.max(1, ...steps);
}

function chunkData(
  binding: Binding,
  items: number,
  { first, count }: Chunk,
): KernelArray | undefined {
  if ("shared" in binding) return binding.shared;
  if (!("subarray" in binding)) return undefined;
  const stride = binding.length / items;
  return binding.subarray(first * stride, (first + count) * stride);
}

function lengthOf(binding: Binding): number {
  if ("shared" in binding) return binding.shared.length;
  return "write" in binding ? binding.write.length : binding.length;
}

function residentOf(binding: Binding): DeviceArray | undefined {
  if (binding instanceof DeviceArray) return binding;
  return "write" in binding ? binding.write : undefined;
}

function isOutput(binding: Binding): binding is Output {
  return !residentOf(binding) && !("shared" in binding) &&
    !("subarray" in binding);
}

function isReturned(binding: Binding): boolean {
  return isOutput(binding) && !binding.scratch;
}

function isWhole(binding: Binding): boolean {
  return isOutput(binding) && binding.whole === true;
}
