/**
 * Solves for a {@linkcode TransportSolver}: the first message says where, every
 * further one is a batch, answered by its solutions.
 *
 * @module
 */
import {
  fitsSinkhorn,
  requestDevice,
  sinkhorn,
  sinkhornScaling,
} from "#/kernels/mod.ts";
import type {
  TransportAnswer,
  TransportDevice,
  TransportRequest,
} from "./transport_solver.ts";

interface WorkerScope {
  onmessage: ((event: MessageEvent<TransportRequest>) => void) | null;
  postMessage(answer: TransportAnswer): void;
}

const scope = self as unknown as WorkerScope;
let device: GPUDevice | undefined;

scope.onmessage = async ({ data }) => {
  try {
    scope.postMessage(await answer(data));
  } catch (error) {
    scope.postMessage({
      error: error instanceof Error ? error.message : String(error),
      isRange: error instanceof RangeError,
    });
  }
};

async function answer(request: TransportRequest): Promise<TransportAnswer> {
  if ("device" in request) {
    device = await openDevice(request.device);
    return { gpu: device && (device.label || "unnamed adapter") };
  }
  const { problems, options } = request;
  // Too large problems are solved on the CPU.
  const output = device && fitsSinkhorn(problems.rows, problems.cols)
    ? await sinkhorn(device, problems, options)
    : sinkhornScaling(problems, options);
  return { output };
}

async function openDevice(
  where: TransportDevice,
): Promise<GPUDevice | undefined> {
  const device = where === "cpu" ? undefined : await requestDevice();
  if (where === "webgpu" && !device) {
    throw new Error(
      "Cannot align on WebGPU: there is no adapter, expected one (a driver " +
        "for Vulkan, Metal or Direct3D 12), or --device cpu",
    );
  }
  return device;
}
