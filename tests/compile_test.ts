import assert from "node:assert/strict";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compilePlan, platforms } from "#/tools/compile_plan.ts";
import { makeTinyModel, tinyText } from "#/tests/tiny_language.ts";
import { type EmbeddedFile, embeddedFiles } from "#/tools/embedded_files.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const { target } = Deno.build;
const platform = platforms[target]!;

/** 46 MB of onnxruntime, 25 MB of demo models, the rest JavaScript. */
const MOST_BYTES = 110e6;

Deno.test("compilePlan() leaves out packages that only tests use", async () => {
  const { packages, exclude } = await compilePlan(root, "cli.ts", target);
  const names = packages.map((id) => id.replace(/(?<=.)@.*/, ""));
  assert.ok(names.includes("onnxruntime-node"));
  assert.ok(!names.includes("fast-check"));
  assert.ok(!names.includes("nodejs-polars"));
  assert.ok(exclude.some((path) => path.endsWith("/fast-check")));
});

Deno.test("compilePlan() keeps one platform's onnxruntime, for any target", async () => {
  for (const [triple, kept] of Object.entries(platforms)) {
    const { exclude } = await compilePlan(root, "cli.ts", triple);
    const left = exclude.filter((path) => path.includes("napi-v"));
    assert.equal(left.length, Object.keys(platforms).length - 1, triple);
    assert.ok(!left.some((path) => path.endsWith(kept)), triple);
  }
});

Deno.test("compilePlan() throws for a platform without onnxruntime", async () => {
  await assert.rejects(
    compilePlan(root, "cli.ts", "riscv64gc-unknown-linux-gnu"),
    /^RangeError: Cannot compile for riscv64gc-unknown-linux-gnu: /,
  );
});

Deno.test("deno task compile embeds what the program needs, and no more", async (t) => {
  const directory = await Deno.makeTempDir();
  const files = await compileAndRead(join(directory, "pta"));
  const paths = files.map(({ path }) => path);

  await t.step("one platform's onnxruntime", () => {
    const libraries = paths.filter((path) =>
      /onnxruntime[^/]*\.(so|dylib|dll|node)\b/.test(basename(path))
    );
    assert.ok(libraries.length >= 2, libraries.join());
    for (const path of libraries) {
      assert.equal(dirname(path).split("/").slice(-2).join("/"), platform);
    }
  });

  await t.step("every shader of the kernels", async () => {
    const shaders = paths.filter((path) => path.endsWith(".wgsl"));
    assert.deepEqual(shaders.sort(), await shadersInUse());
  });

  await t.step("every worker", async () => {
    const { include } = await compilePlan(root, "cli.ts", target);
    for (const path of include) {
      assert.ok(paths.some((embedded) => embedded.startsWith(path)), path);
    }
  });

  await t.step("no tests, notebooks, images or browser runtimes", () => {
    const stray = paths.filter((path) =>
      !path.startsWith("node_modules") && /_(test|bench)\.ts$/.test(path) ||
      /libvips|ort-wasm|\.ipynb$/.test(path)
    );
    assert.deepEqual(stray, []);
  });

  await t.step(`at most ${MOST_BYTES / 1e6} MB`, () => {
    const bytes = files.reduce(
      (sum, file) => sum + (file.bytes?.length ?? 0),
      0,
    );
    assert.ok(bytes < MOST_BYTES, `${bytes / 1e6} MB are embedded`);
  });

  await t.step("what is embedded is enough to train and to write", async () => {
    const unpacked = join(directory, "unpacked");
    await unpack(files, unpacked);
    const [tiny, text, model] = ["tiny", "text.txt", "model"]
      .map((name) => join(directory, name));
    await Deno.mkdir(tiny!);
    await makeTinyModel(tiny!);
    await Deno.writeTextFile(text!, tinyText(0, 60));
    const how =
      `--from-scratch --config ${tiny}/config.json --tokenizer ${tiny}`;
    await runIn(
      unpacked,
      `train ${how} --data ${text} --length 32 --steps 2 --out ${model}`,
    );
    const said = await runIn(
      unpacked,
      `generate --model ${model} --prompt the --max-new-tokens 3`,
    );
    assert.match(said, /^the/);
  });

  await Deno.remove(directory, { recursive: true });
});

/**
 * Compile with this Deno in the place of the runtime, which would have to be
 * downloaded: the file does not start, but holds what the real one holds.
 */
async function compileAndRead(output: string): Promise<EmbeddedFile[]> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "tools/compile.ts", "--output", output],
    cwd: root,
    env: { DENORT_BIN: Deno.execPath() },
    stdout: "null",
    stderr: "piped",
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return embeddedFiles(await Deno.readFile(output));
}

/** Shaders that lie in `kernels/`, relative to the root. */
async function shadersInUse(): Promise<string[]> {
  const found: string[] = [];
  const walk = async (folder: string) => {
    for await (
      const { name, isDirectory } of Deno.readDir(join(root, folder))
    ) {
      if (isDirectory) await walk(`${folder}/${name}`);
      else if (name.endsWith(".wgsl")) found.push(`${folder}/${name}`);
    }
  };
  await walk("kernels");
  return found.sort();
}

/** What the binary does on its first start. */
async function unpack(
  files: readonly EmbeddedFile[],
  directory: string,
): Promise<void> {
  for (const { path, bytes, link } of files) {
    const file = join(directory, path);
    await Deno.mkdir(dirname(file), { recursive: true });
    if (bytes) await Deno.writeFile(file, bytes);
    else await Deno.symlink(join(directory, link!), file);
  }
  // The binary's metadata hold the import map.
  const config = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
  await Deno.writeTextFile(
    join(directory, "deno.json"),
    JSON.stringify({ imports: config.imports, nodeModulesDir: "manual" }),
  );
}

async function runIn(directory: string, args: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--cached-only",
      join(directory, "cli.ts"),
      ...args.split(" "),
    ],
    cwd: directory,
    env: { NO_COLOR: "1" },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
