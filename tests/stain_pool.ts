import { run } from "#/kernels/mod.ts";

/** Buffers of one size that a kernel may take. */
const BUFFERS = 6;

/** Bytes of the smallest and the largest buffers that tests take, as powers of two. */
const [SMALLEST, LARGEST] = [8, 20];

const outputs = Array.from({ length: BUFFERS }, (_, output) => output);
const code = `
  @group(0) @binding(0) var<storage, read> stain: array<f32>;
  ${
  outputs.map((output) =>
    `@group(0) @binding(${output + 1})
     var<storage, read_write> buffer_${output}: array<f32>;`
  ).join("\n")
}
  @compute @workgroup_size(64)
  fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= arrayLength(&buffer_0)) { return; }
    ${outputs.map((output) => `buffer_${output}[id.x] = stain[0];`).join("\n")}
  }`;

/**
 * Leave NaNs in a device's idle buffers, so that a kernel that reads what it has
 * not written, or leaves what it should write, shows it.
 *
 * @param device Whose buffers.
 */
export async function stainPool(device: GPUDevice): Promise<void> {
  const sizes = Array.from(
    { length: LARGEST - SMALLEST + 1 },
    (_, k) => 2 ** (SMALLEST + k),
  );
  await Promise.all(sizes.map((bytes) =>
    run(device, {
      label: "stain",
      code,
      constants: {},
      bindings: [
        { shared: Float32Array.of(NaN) },
        ...outputs.map(() => ({ length: bytes / 4, whole: true })),
      ],
      items: bytes / 4,
      itemsPerWorkgroup: 64,
    })
  ));
}
