/**
 * Builds `dist/pta`, one file that runs where there is no Deno:
 * `deno task compile [--target TRIPLE] [--output FILE]`.
 *
 * The binary unpacks itself on its first start (`--self-extracting`), since
 * onnxruntime's addon looks for its library next to itself. Set `DENORT_BIN` to
 * a runtime that is already on the machine to build without downloading one.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { compilePlan } from "#/tools/compile_plan.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const { values } = parseArgs({
  args: Deno.args,
  options: {
    target: { type: "string", default: Deno.build.target },
    output: { type: "string", default: "dist/pta" },
  },
});
const { include, exclude } = await compilePlan(root, "cli.ts", values.target);
const { code } = await new Deno.Command(Deno.execPath(), {
  args: [
    "compile",
    "--allow-all",
    "--self-extracting",
    "--no-check",
    // A runtime named by DENORT_BIN is for this machine.
    ...(Deno.env.get("DENORT_BIN") ? [] : ["--target", values.target]),
    "--output",
    values.output,
    ...include.flatMap((path) => ["--include", path]),
    ...exclude.flatMap((path) => ["--exclude", path]),
    "cli.ts",
  ],
  cwd: root,
}).spawn().status;
Deno.exit(code);
