import assert from "node:assert/strict";
import { requestDevice, run } from "#/kernels/device.ts";

const device = await requestDevice();

// One line for all the tests that are ignored without a device.
if (!device) {
  Deno.test.ignore(
    "WebGPU tests (skipped: no adapter; on Debian: apt-get install " +
      "mesa-vulkan-drivers libvulkan1)",
    () => {},
  );
}

const double = `
override SCALE: f32;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> offset: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&x)) { y[id.x] = SCALE * x[id.x] + offset[0]; }
}`;

function scale(items: number, itemsPerWorkgroup = 64) {
  const x = Float32Array.from({ length: items }, (_, i) => i % 1021);
  return run(device!, {
    label: "scale",
    code: double,
    constants: { SCALE: 3 },
    bindings: [x, { shared: Float32Array.of(1) }, { length: items }],
    items,
    itemsPerWorkgroup,
  });
}

Deno.test({
  name: "run() returns every item of a batch larger than one dispatch",
  ignore: !device,
  async fn() {
    // 65,535 workgroups of 2 items: three dispatches, the last one partial.
    const items = 2 * 65_535 * 2 + 7;
    const [y] = await scale(items, 2);
    assert.equal(y!.length, items);
    assert.ok(y!.every((value, i) => value === 3 * (i % 1021) + 1));
  },
});

Deno.test({
  name: "run() cuts a batch larger than one binding",
  ignore: !device || device.limits.maxStorageBufferBindingSize > 2 ** 27,
  async fn() {
    const [items, stride] = [37, 2 ** 20];
    const x = new Float32Array(items * stride);
    for (let item = 0; item < items; item++) x[(item + 1) * stride - 1] = item;
    const [last] = await run(device!, {
      label: "last",
      code: `
        override STRIDE: u32;
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> last: array<f32>;
        @compute @workgroup_size(1)
        fn main(@builtin(workgroup_id) item: vec3<u32>) {
          last[item.x] = x[(item.x + 1) * STRIDE - 1];
        }`,
      constants: { STRIDE: stride },
      bindings: [x, { length: items }],
      items,
    });
    assert.deepEqual([...last!], Array.from({ length: items }, (_, i) => i));
  },
});

Deno.test({
  name: "run() gives calls that overlap their own results",
  ignore: !device,
  async fn() {
    const sizes = [1, 97, 1009, 97, 1];
    const outputs = await Promise.all(sizes.map((size) => scale(size)));
    outputs.forEach(([y], i) => {
      assert.equal(y!.length, sizes[i]);
      assert.equal(y!.at(-1), 3 * (sizes[i]! - 1) % 3063 + 1);
    });
  },
});

Deno.test({
  name: "run() keeps no memory over 10,000 dispatches",
  ignore: !device,
  async fn() {
    // In a process of its own: here, what tests record grows with every call.
    const script = `
      import { requestDevice, run } from "${
      import.meta.resolve("#/kernels/device.ts")
    }";
      const device = await requestDevice();
      const dispatch = {
        label: "scale",
        code: ${JSON.stringify(double)},
        constants: { SCALE: 3 },
        bindings: [
          new Float32Array(4096),
          { shared: Float32Array.of(1) },
          { length: 4096 },
        ],
        items: 4096,
        itemsPerWorkgroup: 64,
      };
      const resident = [];
      for (let round = 0; round < 100; round++) {
        // Together, as each wait for the GPU takes 10 ms at least.
        await Promise.all(Array(100).fill().map(() => run(device, dispatch)));
        resident.push(Deno.memoryUsage().rss);
      }
      const half = [resident.slice(0, 50), resident.slice(50)];
      const [before, after] = half.map((values) => Math.max(...values));
      await Deno.stdout.write(new TextEncoder().encode(\`\${after - before}\`));
    `;
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "-q", script],
    }).output();
    const growth = Number(new TextDecoder().decode(stdout));
    // 5,000 calls that kept their 48 KB would add 240 MB; what is seen is the
    // garbage collector's rhythm.
    assert.ok(stdout.length > 0 && growth < 48 * 2 ** 20, `grew by ${growth}`);
  },
});

Deno.test({
  name: "run() returns empty outputs for no items",
  ignore: !device,
  async fn() {
    assert.deepEqual(await scale(0), [new Float32Array(0)]);
  },
});

Deno.test({
  name: "run() names the kernel and the line of a shader error",
  ignore: !device,
  async fn() {
    const broken = run(device!, {
      label: "broken",
      code: "@compute @workgroup_size(1)\nfn main() { let x: f32 = 1u; }",
      constants: {},
      bindings: [{ length: 1 }],
      items: 1,
    });
    await assert.rejects(broken, /Cannot compile broken: line 2/);
  },
});

Deno.test({
  name: "run() names the kernel whose bindings do not fit",
  ignore: !device,
  async fn() {
    const dispatch = { label: "scale", code: double, constants: { SCALE: 1 } };
    await assert.rejects(
      run(device!, { ...dispatch, bindings: [{ length: 1 }], items: 1 }),
      /Cannot run scale: /,
    );
    await assert.rejects(
      run(device!, { ...dispatch, bindings: [{ length: 3 }], items: 2 }),
      new RangeError(
        "Cannot run scale: binding 0 has 3 entries, expected a multiple of 2 items",
      ),
    );
  },
});

Deno.test({
  name: "requestDevice() works in a Worker",
  ignore: !device,
  async fn() {
    const code = `
      import { requestDevice } from "${
      import.meta.resolve("#/kernels/device.ts")
    }";
      const device = await requestDevice();
      postMessage(device !== undefined);
      device?.destroy();`;
    const url = URL.createObjectURL(
      new Blob([code], { type: "application/typescript" }),
    );
    const worker = new Worker(url, { type: "module" });
    const found = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = reject;
    });
    worker.terminate();
    URL.revokeObjectURL(url);
    assert.equal(found, true);
  },
});

Deno.test.afterAll(() => device?.destroy());
