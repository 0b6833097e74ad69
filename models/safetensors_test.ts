import assert from "node:assert/strict";
import fc from "fast-check";
import { roundToBf16, widenBf16 } from "#/models/dtypes.ts";
import { readSafetensorsHeader, readWeight } from "#/models/safetensors.ts";
import { writeSafetensors } from "#/models/write_safetensors.ts";

const directory = await Deno.makeTempDir();
const file = `${directory}/a.safetensors`;

/** Writes a file of any header and so many zero bytes of data. */
async function write(header: unknown, dataBytes = 0): Promise<void> {
  const json = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  await Deno.writeFile(file, bytes);
}

Deno.test("writeSafetensors() and readWeight() give back every f32", async () => {
  await fc.assert(
    fc.asyncProperty(fc.float32Array({ maxLength: 13 }), async (data) => {
      await writeSafetensors(
        file,
        new Map([["empty", { shape: [0, 3], data: new Float32Array(0) }], [
          "x",
          { shape: [1, data.length], data },
        ]]),
      );
      const { weights, metadata } = await readSafetensorsHeader(file);
      assert.deepEqual(metadata, { format: "pt" });
      assert.equal(weights.get("x")!.offset % 8, 0);
      assert.deepEqual(await readWeight(weights.get("x")!), data);
    }),
    { numRuns: 25 },
  );
});

Deno.test("writeSafetensors() rounds to the nearest, ties to even", async () => {
  // Spacing at 1 is 2^-7 in bf16, 2^-10 in f16: half of it ties.
  const cases = {
    bf16: [[1 + 2 ** -8, 1], [1 + 3 * 2 ** -8, 1 + 2 ** -6], [
      3.4e38,
      Infinity,
    ]],
    f16: [[1 + 2 ** -11, 1], [1 + 3 * 2 ** -11, 1 + 2 ** -9], [
      65520,
      Infinity,
    ]],
  } as const;
  for (const [dtype, pairs] of Object.entries(cases)) {
    const data = Float32Array.from([...pairs.map(([x]) => x), NaN, -0, 1e-40]);
    await writeSafetensors(file, new Map([["x", { shape: [6], data }]]), {
      dtype: dtype as "bf16" | "f16",
    });
    const { weights } = await readSafetensorsHeader(file);
    const actual = await readWeight(weights.get("x")!);
    const expected = [...pairs.map(([, y]) => y), NaN, -0];
    assert.deepEqual([...actual.subarray(0, 5)], expected);
    // Half the spacing of subnormal numbers: 2^-133 in bf16, 2^-24 in f16.
    const half = dtype === "bf16" ? 2 ** -134 : 2 ** -25;
    assert.ok(Math.abs(actual[5]! - 1e-40) <= half);
  }
});

Deno.test("roundToBf16() undoes widenBf16() for all but the payload of a NaN", () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const values = widenBf16(bits);
  roundToBf16(values).forEach((back, i) =>
    Number.isNaN(values[i])
      ? assert.equal(back, i | 0x40)
      : assert.equal(back, i)
  );
});

Deno.test("readWeight() reads integers and refuses 8-bit floats", async () => {
  await write({
    a: { dtype: "I64", shape: [2], data_offsets: [0, 16] },
    b: { dtype: "F8_E4M3", shape: [3], data_offsets: [16, 19] },
  }, 19);
  const { weights } = await readSafetensorsHeader(file);
  assert.deepEqual([...await readWeight(weights.get("a")!)], [0, 0]);
  await assert.rejects(readWeight(weights.get("b")!), {
    name: "TypeError",
    message: `Cannot read weight "b" of ${file}: its type is F8_E4M3, ` +
      "expected F32, F16, BF16 or another plain number type",
  });
});

const x = { dtype: "F32", shape: [2], data_offsets: [0, 8] };
const y = { dtype: "U8", shape: [], data_offsets: [8, 9] };
const damaged: [name: string, header: unknown, bytes: number, what: RegExp][] =
  [
    ["no JSON", "{ not json", 0, /its header is not JSON$/],
    ["an array", "[]", 0, /its header is not a JSON object$/],
    ["an unknown type", { x: { ...x, dtype: "F3" } }, 8, /unknown dtype F3$/],
    ["no entry", { x: 3 }, 8, /tensor "x" has the unknown dtype undefined$/],
    ["a negative size", { x: { ...x, shape: [-2] } }, 8, /the shape \[-2\]$/],
    [
      "no offsets",
      { x: { ...x, data_offsets: 3 } },
      8,
      /tensor "x" lies at 3$/,
    ],
    ["offsets reversed", { x: { ...x, data_offsets: [8, 0] } }, 8, /\[8,0\]$/],
    [
      "a lie about size",
      { x: { ...x, shape: [3] } },
      8,
      /8 bytes, expected 12/,
    ],
    [
      "an offset out of range",
      {
        x: { ...x, data_offsets: [800, 808] },
        y: { ...y, data_offsets: [0, 1] },
      },
      9,
      /tensor "x" ends at byte 808 of the data, expected at most 9$/,
    ],
    ["a truncated file", { x, y }, 5, /expected \d+ \(it is truncated\)$/],
    ["bytes left over", { x, y }, 12, /the file has \d+ bytes, expected \d+$/],
    [
      "an overlap",
      { x, z: { ...x, data_offsets: [4, 12] } },
      12,
      /\(overlap\)$/,
    ],
    ["a hole", { x, z: { ...x, data_offsets: [9, 17] } }, 17, /\(hole\)$/],
  ];
for (const [name, header, bytes, what] of damaged) {
  Deno.test(`readSafetensorsHeader() refuses ${name}`, async () => {
    await write(header, bytes);
    await assert.rejects(readSafetensorsHeader(file), (error) => {
      assert.ok(error instanceof SyntaxError);
      assert.ok(error.message.startsWith(`Cannot read ${file}: `));
      assert.match(error.message, what);
      return true;
    });
  });
}

Deno.test("readSafetensorsHeader() refuses a header longer than the file or than 100 MB", async () => {
  await Deno.writeFile(file, new Uint8Array(3));
  await assert.rejects(readSafetensorsHeader(file), /it has 3 bytes/);
  for (
    const [length, size, most] of [[93n, 100, 92], [2n ** 63n, 16, 8]] as const
  ) {
    const bytes = new Uint8Array(size);
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    await Deno.writeFile(file, bytes);
    await assert.rejects(readSafetensorsHeader(file), {
      message: `Cannot read ${file}: its header length is ${length}, ` +
        `expected at most ${most}`,
    });
  }
  await Deno.truncate(file, 200_000_000);
  const handle = await Deno.open(file, { write: true });
  await handle.write(Uint8Array.of(0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0));
  handle.close();
  await assert.rejects(
    readSafetensorsHeader(file),
    /is 100000001, .* 100000000/,
  );
});

Deno.test("writeSafetensors() leaves nothing behind when it fails", async () => {
  const shape = [3];
  const weights = new Map([["x", { shape, data: new Float32Array(2) }]]);
  await assert.rejects(writeSafetensors(`${directory}/b`, weights), {
    message: `Cannot write weight "x" to ${directory}/b: it has 2 entries, ` +
      "expected [3]",
  });
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
  assert.deepEqual(names, ["a.safetensors"]);
});

Deno.test({
  name:
    "writeSafetensors() says which file could not be written, and removes it",
  ignore: Deno.build.os === "windows",
  async fn() {
    const module = new URL("./write_safetensors.ts", import.meta.url);
    const code = `
      const { writeSafetensors } = await import(${JSON.stringify(module.href)});
      const data = new Float32Array(2_000_000);
      const weights = new Map([["x", { shape: [2_000_000], data }]]);
      await writeSafetensors(${JSON.stringify(`${directory}/big`)}, weights)
        .catch((error) => Deno.stdout.writeSync(
          new TextEncoder().encode(error.message)
        ));
      // Another thread hands the signal over; without a listener it would kill.
      await new Promise((resolve) => setTimeout(resolve, 200));
    `;
    // Deno's own caches may be larger than the limit already.
    const denoDir = await Deno.makeTempDir();
    const { stdout, code: status } = await new Deno.Command("sh", {
      args: [
        "-c",
        'ulimit -f 8192; exec "$0" eval -q "$1"',
        Deno.execPath(),
        code,
      ],
      env: { DENO_DIR: denoDir },
    }).output();
    await Deno.remove(denoDir, { recursive: true });
    assert.equal(status, 0);
    const text = new TextDecoder().decode(stdout);
    assert.ok(
      text.includes(`Cannot write ${directory}/big: File too large`),
      text,
    );
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
    assert.deepEqual(names, ["a.safetensors"]);
  },
});

Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));
