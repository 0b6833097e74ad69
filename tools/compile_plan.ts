import { dirname, join, relative } from "node:path";

/** What `deno compile` embeds and leaves out. */
export interface CompilePlan {
  /** Workers and data that code names by URL, relative to the project. */
  include: string[];
  /** Paths inside `node_modules/` that the program never loads. */
  exclude: string[];
  /** Names and versions of the npm packages that are embedded. */
  packages: string[];
}

/** Platforms of onnxruntime-node's libraries, by the compile target. */
export const platforms: Readonly<Record<string, string>> = {
  "x86_64-unknown-linux-gnu": "linux/x64",
  "aarch64-unknown-linux-gnu": "linux/arm64",
  "aarch64-apple-darwin": "darwin/arm64",
  "x86_64-pc-windows-msvc": "win32/x64",
  "aarch64-pc-windows-msvc": "win32/arm64",
};

/** What packages carry and a program that runs under Deno never reads. */
const NEVER_READ: Readonly<Record<string, readonly string[]>> = {
  "@huggingface/transformers": [
    "src",
    "types",
    "dist/ort-wasm-simd-threaded.jsep.mjs",
    "dist/transformers.js",
    "dist/transformers.min.js",
    "dist/transformers.node.cjs",
    "dist/transformers.node.min.cjs",
    "dist/transformers.node.min.mjs",
    "dist/transformers.web.js",
    "dist/transformers.web.min.js",
  ],
};

interface NpmPackage {
  name: string;
  version: string;
  dependencies: string[];
  localPath?: string;
}

interface ModuleGraph {
  modules: { kind?: string; local?: string; npmPackage?: string }[];
  npmPackages: Record<string, NpmPackage>;
}

/**
 * Work out what the binary of a program must hold.
 *
 * The graph is followed from the entry through the files that its modules name
 * by `new URL("…", import.meta.url)`: workers, whose own imports count too, and
 * data. npm packages outside the graph are left out, and so are onnxruntime's
 * libraries for other platforms.
 *
 * @param root The project's directory.
 * @param entry The program's module, relative to the root.
 * @param target The triple to compile for, such as `x86_64-unknown-linux-gnu`.
 * @returns Paths relative to the root, sorted.
 * @throws {RangeError} If onnxruntime has no library for the target.
 */
export async function compilePlan(
  root: string,
  entry: string,
  target: string,
): Promise<CompilePlan> {
  const platform = platforms[target];
  if (!platform) {
    throw new RangeError(
      `Cannot compile for ${target}: onnxruntime-node has no library for it, ` +
        `expected one of ${Object.keys(platforms).join(", ")}`,
    );
  }
  const include = new Set<string>();
  const used = new Set<string>();
  let all: Record<string, NpmPackage> = {};
  const queue = [entry];
  for (let file = queue.pop(); file; file = queue.pop()) {
    const graph = await moduleGraph(root, file);
    all = { ...all, ...graph.npmPackages };
    for (const { npmPackage, local } of graph.modules) {
      if (npmPackage) reach(npmPackage, graph.npmPackages, used);
      if (!local || local.includes("node_modules")) continue;
      for (const path of await namedFiles(root, local)) {
        if (include.has(path)) continue;
        include.add(path);
        if (path.endsWith(".ts")) queue.push(path);
      }
    }
  }
  const exclude = Object.entries(all).flatMap(([id, { name, localPath }]) => {
    if (!localPath) return [];
    const path = relative(root, localPath);
    if (!used.has(id)) return [path];
    if (name === "onnxruntime-node") {
      return otherPlatforms(root, path, platform);
    }
    return (NEVER_READ[name] ?? []).map((part) => join(path, part));
  });
  return {
    include: [...include].sort(),
    exclude: await existing(root, exclude),
    packages: [...used].sort(),
  };
}

async function moduleGraph(root: string, file: string): Promise<ModuleGraph> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", file],
    cwd: root,
  }).output();
  if (!success) {
    throw new Error(
      `Cannot read the imports of ${file}: ${new TextDecoder().decode(stderr)}`,
    );
  }
  return JSON.parse(new TextDecoder().decode(stdout));
}

function reach(
  id: string,
  packages: Record<string, NpmPackage>,
  used: Set<string>,
): void {
  if (used.has(id) || !packages[id]) return;
  used.add(id);
  for (const next of packages[id].dependencies) reach(next, packages, used);
}

/**
 * Files a module names by `new URL("./…", import.meta.url)`; of a template, the
 * directory before its first expression.
 */
async function namedFiles(root: string, module: string): Promise<string[]> {
  const code = await Deno.readTextFile(module);
  const named = code.matchAll(
    /new URL\(\s*["`](\.\.?\/[^"`]+)["`],\s*import\.meta\.url,?\s*\)/g,
  );
  const paths = [...named].map(([, path]) => {
    const fixed = path!.replace(/[^/]*\$\{.*/, "");
    return relative(root, join(dirname(module), fixed));
  });
  return await existing(root, paths.filter(isShipped));
}

/** Packages are embedded by the module graph; the rest lies in the project. */
function isShipped(path: string): boolean {
  return path !== "" && !path.startsWith("..") &&
    !path.startsWith("node_modules");
}

function otherPlatforms(
  root: string,
  path: string,
  platform: string,
): string[] {
  const bin = join(path, "bin");
  return [...Deno.readDirSync(join(root, bin))]
    .flatMap((abi) =>
      [...new Set(Object.values(platforms))].map((other) =>
        other === platform ? "" : join(bin, abi.name, other)
      )
    ).filter(Boolean);
}

async function existing(root: string, paths: string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths.sort()) {
    if (await Deno.lstat(join(root, path)).catch(() => undefined)) {
      found.push(path);
    }
  }
  return found;
}
