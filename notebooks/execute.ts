/**
 * Runs notebooks in the real Deno kernel, by Jupyter's own command line:
 * `deno task notebooks` executes all of them and writes their outputs in place.
 *
 * @module
 */

import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

/** How to get Jupyter, for those who lack it. */
export const INSTALL_JUPYTER =
  "apt-get install --no-install-recommends jupyter-nbconvert jupyter-client";

/** A code or text cell of a notebook file. */
export interface Cell {
  /** `code`, `markdown` or `raw`. */
  cell_type: string;
  /** The lines, each with its line end. */
  source: string | string[];
  /** What a code cell left. */
  outputs?: Output[];
}

/** One output of a code cell. */
export interface Output {
  /** `display_data`, `execute_result`, `stream` or `error`. */
  output_type: string;
  /** Content by MIME type. */
  data?: Record<string, string | string[]>;
  /** The words of an error. */
  evalue?: string;
}

/** A notebook file. */
export interface Notebook {
  /** From top to bottom. */
  cells: Cell[];
}

/**
 * The project's notebooks.
 *
 * @returns Absolute paths, in order.
 */
export function notebooks(): string[] {
  const directory = fileURLToPath(new URL("./", import.meta.url));
  return [...Deno.readDirSync(directory)]
    .filter(({ name }) => name.endsWith(".ipynb"))
    .map(({ name }) => join(directory, name)).sort();
}

/**
 * Whether Jupyter can run and convert notebooks here.
 *
 * @returns False where `jupyter nbconvert` does not start.
 */
export async function hasJupyter(): Promise<boolean> {
  try {
    const command = new Deno.Command("jupyter", {
      args: ["nbconvert", "--version"],
      stdout: "null",
      stderr: "null",
    });
    return (await command.output()).success;
  } catch {
    return false;
  }
}

/**
 * Execute a notebook from a fresh kernel, and export the result as HTML.
 *
 * @param path The notebook; its own folder is the kernel's working directory.
 * @param out Directory that gets the executed notebook and its export.
 * @returns Paths of both.
 * @throws {Error} If a cell throws or Jupyter cannot run.
 */
export async function executeNotebook(
  path: string,
  out: string,
): Promise<{ notebook: string; html: string }> {
  const name = basename(path, ".ipynb");
  const env = await kernelEnvironment(join(out, "jupyter"));
  await nbconvert(env, [
    "--to=notebook",
    "--execute",
    "--ExecutePreprocessor.kernel_name=deno",
    "--ExecutePreprocessor.timeout=600",
    `--output-dir=${out}`,
    path,
  ]);
  const notebook = join(out, `${name}.ipynb`);
  await nbconvert(env, ["--to=html", `--output-dir=${out}`, notebook]);
  return { notebook, html: join(out, `${name}.html`) };
}

/** A kernel specification of its own, so that nothing at home is touched. */
async function kernelEnvironment(
  directory: string,
): Promise<Record<string, string>> {
  const kernel = join(directory, "kernels", "deno");
  await Deno.mkdir(kernel, { recursive: true });
  await Deno.writeTextFile(
    join(kernel, "kernel.json"),
    JSON.stringify({
      argv: [
        Deno.execPath(),
        "jupyter",
        "--kernel",
        "--conn",
        "{connection_file}",
      ],
      display_name: "Deno",
      language: "typescript",
      env: { NO_COLOR: "1" },
    }),
  );
  return {
    JUPYTER_PATH: directory,
    JUPYTER_RUNTIME_DIR: join(directory, "runtime"),
    JUPYTER_CONFIG_DIR: join(directory, "config"),
    IPYTHONDIR: join(directory, "ipython"),
  };
}

async function nbconvert(
  env: Record<string, string>,
  args: readonly string[],
): Promise<void> {
  const { success, stderr } = await new Deno.Command("jupyter", {
    args: ["nbconvert", ...args],
    env,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) {
    throw new Error(
      `Cannot execute ${args.at(-1)}: ` +
        new TextDecoder().decode(stderr).split("CellExecutionError: ").at(-1),
    );
  }
}

/** Replace a notebook's outputs by fresh ones. */
async function refresh(path: string): Promise<void> {
  const out = await Deno.makeTempDir();
  const executed = await executeNotebook(path, out);
  const notebook = JSON.parse(await Deno.readTextFile(executed.notebook));
  for (const cell of notebook.cells) {
    delete cell.metadata.execution;
    // deno fmt --check calls a cell that does not end its last line unformatted.
    const text = [cell.source].flat().join("").trimEnd() + "\n";
    cell.source = text.split(/(?<=\n)/);
  }
  await Deno.writeTextFile(path, JSON.stringify(notebook, null, 1) + "\n");
  await Deno.remove(out, { recursive: true });
}

if (import.meta.main) {
  const chosen = Deno.args.length > 0 ? Deno.args : notebooks();
  for (const path of chosen) await refresh(path);
}
