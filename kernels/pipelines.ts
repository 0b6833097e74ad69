/** A shader and the values of its constants. */
export interface Shader {
  /** Names it in errors. */
  label: string;
  /** WGSL source with an entry point `main`. */
  code: string;
  /** Values of the shader's `override` constants. */
  constants: Record<string, number>;
}

/** Compiled shaders of a device, by code and constants, as long as it lives. */
const compiledPipelines = new WeakMap<
  GPUDevice,
  Map<string, Promise<GPUComputePipeline>>
>();

/**
 * Compile a shader, once for every device.
 *
 * @param device For which device.
 * @param shader The shader.
 * @returns Its pipeline.
 * @throws {Error} If WebGPU rejects it; with the lines.
 */
export function pipelineOf(
  device: GPUDevice,
  shader: Shader,
): Promise<GPUComputePipeline> {
  const known = compiledPipelines.get(device) ?? new Map();
  compiledPipelines.set(device, known);
  const key = JSON.stringify([shader.code, shader.constants]);
  const pipeline = known.get(key) ?? compile(device, shader);
  known.set(key, pipeline);
  return pipeline;
}

async function compile(
  device: GPUDevice,
  { label, code, constants }: Shader,
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
