import { BufferPool } from "./buffer_pool.ts";

/** Arrays a kernel reads. */
export type KernelArray =
  | Float32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>;

/**
 * One storage buffer of a kernel, in binding order: an input, an input that
 * every item reads whole, or an f32 output, zero at first. A `scratch` output
 * stays on the device: it hands values from one pass to the next.
 */
export type Binding =
  | KernelArray
  | { readonly shared: KernelArray }
  | { readonly length: number; readonly scratch?: boolean };

/** What one call of a kernel needs. */
export interface Dispatch {
  /** Names the kernel in every error. */
  label: string;
  /** WGSL source with an entry point `main`. */
  code: string;
  /** Values of the shader's `override` constants. */
  constants: Record<string, number>;
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

/** What is kept of a device as long as it lives. */
interface DeviceCache {
  pool: BufferPool;
  pipelines: Map<string, Promise<GPUComputePipeline>>;
}

const caches = new WeakMap<GPUDevice, DeviceCache>();

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
 * @returns One array per output binding that is not scratch, in binding order.
 * @throws {RangeError} If a binding does not divide into the items, or one item
 * is larger than a binding may be.
 * @throws {Error} If WebGPU rejects the shader or its bindings.
 */
export async function run(
  device: GPUDevice,
  dispatch: Dispatch,
): Promise<Float32Array<ArrayBuffer>[]> {
  const { label, bindings, items } = dispatch;
  const outputs = bindings.filter(isReturned)
    .map((binding) => new Float32Array(lengthOf(binding)));
  if (items === 0) return outputs;

  const chunk = itemsPerChunk(device, dispatch);
  const { pool, pipelines } = cacheOf(device);
  const key = JSON.stringify([dispatch.code, dispatch.constants]);
  const compiled = pipelines.get(key) ?? compile(device, dispatch);
  pipelines.set(key, compiled);
  const pipeline = await compiled;

  // No await between push and pop: the scopes of a device are one stack.
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  const readbacks: Readback[] = [];
  for (let first = 0; first < items; first += chunk) {
    const count = Math.min(chunk, items - first);
    readbacks.push(
      ...submit(device, pool, pipeline, dispatch, { first, count }),
    );
  }
  const errors = [device.popErrorScope(), device.popErrorScope()];

  try {
    for (const error of await Promise.all(errors)) {
      if (error) throw new Error(`Cannot run ${label}: ${error.message}`);
    }
    await Promise.all(readbacks.map(async ({ buffer, bytes, output, at }) => {
      await buffer.mapAsync(GPUMapMode.READ, 0, bytes);
      outputs[output]!.set(
        new Float32Array(buffer.getMappedRange(0, bytes)),
        at,
      );
      buffer.unmap();
    }));
  } catch (error) {
    for (const { buffer } of readbacks) buffer.destroy();
    throw error;
  }
  for (const { buffer } of readbacks) pool.release(buffer);
  return outputs;
}

/** A part of an output on its way back. */
interface Readback {
  buffer: GPUBuffer;
  bytes: number;
  /** Which output, and where in it the part begins. */
  output: number;
  at: number;
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
  const resources = bindings.map((binding) => {
    const data = chunkData(binding, items, { first, count });
    const bytes = data?.byteLength ?? lengthOf(binding) / items * count * 4;
    const buffer = pool.acquire(bytes, STORAGE, label);
    if (data) device.queue.writeBuffer(buffer, 0, data);
    else commands.clearBuffer(buffer, 0, bytes);
    return { buffer, size: bytes };
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
  for (const { buffer } of resources) pool.release(buffer);
  return readbacks;
}

// GPUBufferUsage does not exist where there is no WebGPU.
const STORAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC
const READBACK = 0x01 | 0x08; // MAP_READ | COPY_DST

async function compile(
  device: GPUDevice,
  { label, code, constants }: Dispatch,
): Promise<GPUComputePipeline> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label, code });
  const pipeline = device.createComputePipeline({
    label,
    layout: "auto",
    compute: { module, entryPoint: "main", constants },
  });
  const error = await device.popErrorScope();
  if (!error) return pipeline;
  const { messages } = await module.getCompilationInfo();
  const details = messages.map(({ lineNum, linePos, message }) =>
    `line ${lineNum}:${linePos}: ${message}`
  );
  throw new Error(
    `Cannot compile ${label}: ${details.join("; ") || error.message}`,
  );
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
  return chunk;
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
  return "shared" in binding ? binding.shared.length : binding.length;
}

function isReturned(binding: Binding): boolean {
  if (ArrayBuffer.isView(binding) || "shared" in binding) return false;
  return !("scratch" in binding && binding.scratch);
}

function cacheOf(device: GPUDevice): DeviceCache {
  const known = caches.get(device);
  if (known) return known;
  const cache = { pool: new BufferPool(device), pipelines: new Map() };
  caches.set(device, cache);
  return cache;
}
