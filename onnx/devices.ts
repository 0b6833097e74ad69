import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";

/** Where a graph runs. */
export type Device = "auto" | "cpu" | "cuda" | "webgpu";

const CUDA_PROVIDER = "libonnxruntime_providers_cuda.so";
const CUDA_CURE =
  "install it with ONNXRUNTIME_NODE_INSTALL=cuda12 deno install " +
  "--allow-scripts=npm:onnxruntime-node, or use --device cpu";

/**
 * Turn onnxruntime's failure to make a session into an error that names what is
 * missing and the cure.
 *
 * @param device The device asked for.
 * @param cause What onnxruntime threw, if it was asked.
 * @returns The error to throw.
 */
export function explainFailure(device: Device, cause?: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const aboutDevice = /provider|adapter|shared library/i;
  if (device === "cpu" || cause && !aboutDevice.test(reason)) {
    return new Error(`Cannot create a session on ${device}: ${reason}`, {
      cause,
    });
  }
  const missing = device === "cuda" ? missingForCuda() : missingForWebgpu();
  return new Error(
    `Cannot use device ${device}: ${missing ?? reason.split("\n")[0]}`,
    { cause },
  );
}

/**
 * The device that "auto" stands for.
 *
 * @param device A device.
 * @returns CUDA where its provider lies beside onnxruntime, else the CPU; any
 * other device as it is.
 */
export function resolveDevice(
  device: Device = "auto",
): Exclude<Device, "auto"> {
  if (device !== "auto") return device;
  return hasCudaProvider() ? "cuda" : "cpu";
}

/**
 * Whether onnxruntime's CUDA provider lies beside onnxruntime.
 *
 * @returns False where asking for CUDA is bound to fail.
 */
export function hasCudaProvider(): boolean {
  return isFile(join(libraryFolder(), CUDA_PROVIDER));
}

function missingForCuda(): string | undefined {
  const library = join(libraryFolder(), CUDA_PROVIDER);
  if (!isFile(library)) {
    return `onnxruntime's CUDA provider ${CUDA_PROVIDER} is not installed; ` +
      CUDA_CURE;
  }
  const reason = loadingError(library);
  const name = reason?.match(/(lib[\w.+-]+\.so[\w.]*): cannot open/)?.[1];
  if (!name) return reason;
  return `library ${name} is missing; install CUDA 12 with cuDNN 9 and put its ` +
    `folder on LD_LIBRARY_PATH, or use --device cpu`;
}

function missingForWebgpu(): string {
  return "onnxruntime found no graphics adapter; install a Vulkan driver of a " +
    "GPU (mesa-vulkan-drivers' software driver lacks features it needs), or use " +
    "--device cpu";
}

/** What the dynamic linker says of a library, `undefined` if it loads. */
function loadingError(library: string): string | undefined {
  try {
    Deno.dlopen(library, {}).close();
  } catch (error) {
    return (error as Error).message;
  }
}

function libraryFolder(): string {
  const entry = fileURLToPath(import.meta.resolve("onnxruntime-node"));
  return join(
    dirname(dirname(entry)),
    "bin/napi-v6",
    Deno.build.os === "windows" ? "win32" : Deno.build.os,
    Deno.build.arch === "x86_64" ? "x64" : "arm64",
  );
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
