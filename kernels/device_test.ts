import assert from "node:assert/strict";
import { requestDevice, run } from "#/kernels/device.ts";
import { DeviceArray } from "#/kernels/device_array.ts";
import { stainPool } from "#/tests/stain_pool.ts";

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
  name: "run() clears outputs, unless the kernel writes them whole",
  ignore: !device,
  async fn() {
    const writeFirst = (whole: boolean) =>
      run(device!, {
        label: "first",
        code: `
          @group(0) @binding(0) var<storage, read_write> y: array<f32>;
          @compute @workgroup_size(1) fn main() { y[0] = 1; }`,
        constants: {},
        bindings: [{ length: 64, whole }],
        items: 1,
      });
    await stainPool(device!);
    const [cleared] = await writeFirst(false);
    assert.deepEqual([...cleared!], [1, ...new Array(63).fill(0)]);
    // The test itself: what a kernel leaves of such an output does show.
    await stainPool(device!);
    const [stained] = await writeFirst(true);
    assert.deepEqual([...stained!], [1, ...new Array(63).fill(NaN)]);
  },
});

Deno.test({
  name: "run() takes values from the device and leaves them there",
  ignore: !device,
  async fn() {
    const items = 97;
    const x = Float32Array.from({ length: items }, (_, i) => i);
    using input = DeviceArray.from(device!, x);
    using between = new DeviceArray(device!, items);
    using output = new DeviceArray(device!, items);
    const scale = async (from: DeviceArray, to: DeviceArray) =>
      assert.deepEqual(
        await run(device!, {
          label: "scale",
          code: double,
          constants: { SCALE: 3 },
          bindings: [from, { shared: Float32Array.of(1) }, { write: to }],
          items,
          itemsPerWorkgroup: 64,
        }),
        [],
      );
    await scale(input, between);
    await scale(between, output);
    assert.deepEqual(await output.read(), x.map((value) => 9 * value + 4));
  },
});

Deno.test({
  name: "run() cuts what is on the device at aligned offsets",
  ignore: !device || device.limits.maxStorageBufferBindingSize > 2 ** 27,
  async fn() {
    // 40 MB an item: three to a binding; and 65,535 workgroups a dispatch.
    const large = { items: 5, stride: 10 * 2 ** 20 };
    const small = { items: 65_535 + 79, stride: 3 };
    for (const { items, stride } of [large, small]) {
      using x = DeviceArray.from(
        device!,
        Float32Array.from(
          { length: items * stride },
          (_, i) => i % stride === 1 ? i / stride | 0 : 0,
        ),
      );
      using y = new DeviceArray(device!, items);
      const dispatch = {
        label: "second",
        code: `
          override STRIDE: u32;
          @group(0) @binding(0) var<storage, read> x: array<f32>;
          @group(0) @binding(1) var<storage, read_write> y: array<f32>;
          @compute @workgroup_size(1)
          fn main(@builtin(workgroup_id) item: vec3<u32>) {
            y[item.x] = x[item.x * STRIDE + 1];
          }`,
        constants: { STRIDE: stride },
        items,
      };
      const returned = { length: items, whole: true };
      const expected = Float32Array.from({ length: items }, (_, i) => i);
      const [second] = await run(device!, {
        ...dispatch,
        bindings: [x, returned],
      });
      assert.deepEqual(second, expected);
      if (items === small.items) {
        await run(device!, { ...dispatch, bindings: [x, { write: y }] });
        assert.deepEqual(await y.read(), expected);
        continue;
      }
      // One value an item: its parts would not begin at aligned offsets.
      await assert.rejects(
        run(device!, { ...dispatch, bindings: [x, { write: y }] }),
        /Cannot run second: 3 items fit into a binding, expected at least \d+/,
      );
    }
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
