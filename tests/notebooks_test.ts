import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Cell,
  executeNotebook,
  hasJupyter,
  INSTALL_JUPYTER,
  type Notebook,
  notebooks,
} from "#/notebooks/execute.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const jupyter = await hasJupyter();
const hint = jupyter ? "" : ` (skipped: no Jupyter; ${INSTALL_JUPYTER})`;

for (const path of notebooks()) {
  const name = basename(path);

  Deno.test(`${name} type-checks`, async () => {
    const directory = await Deno.makeTempDir();
    const file = join(directory, "cells.ts");
    const code = codeCells(await readNotebook(path)).map(sourceOf);
    await Deno.writeTextFile(file, code.join("\n"));
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", `--config=${join(root, "deno.json")}`, file],
      cwd: root,
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    await Deno.remove(directory, { recursive: true });
  });

  Deno.test(`${name} is committed with its outputs`, async () => {
    assertShown(await readNotebook(path));
  });

  Deno.test({
    name: `${name} runs in the Deno kernel, plots visible${hint}`,
    ignore: !jupyter,
    async fn() {
      const out = await Deno.makeTempDir();
      const { notebook, html } = await executeNotebook(path, out);
      assertShown(await readNotebook(notebook));
      const exported = await Deno.readTextFile(html);
      for (const svg of plotsOf(await readNotebook(notebook))) {
        assert.ok(exported.includes(svg), "the export lost a plot");
      }
      await Deno.remove(out, { recursive: true });
    },
  });
}

/** Every cell that shows something has shown it, and none has failed. */
function assertShown(notebook: Notebook): void {
  for (const cell of codeCells(notebook)) {
    const outputs = cell.outputs ?? [];
    const source = sourceOf(cell);
    const errors = outputs.filter(({ output_type }) => output_type === "error");
    assert.deepEqual(errors.map(({ evalue }) => evalue), [], source);
    const shown = outputs.filter(({ data }) => data?.["text/html"]).length;
    const wanted = source.match(/^await show\(/gm)?.length ?? 0;
    assert.equal(shown, wanted, source);
  }
  assert.ok(plotsOf(notebook).length > 0, "no plot");
}

/** The `<svg>` elements of all outputs, as text. */
function plotsOf(notebook: Notebook): string[] {
  return codeCells(notebook).flatMap(({ outputs }) =>
    (outputs ?? []).flatMap(({ data }) =>
      [data?.["text/html"] ?? ""].flat().join("").match(/<svg.*<\/svg>/gs) ?? []
    )
  );
}

function codeCells({ cells }: Notebook): Cell[] {
  return cells.filter(({ cell_type }) => cell_type === "code");
}

function sourceOf({ source }: Cell): string {
  return [source].flat().join("");
}

async function readNotebook(path: string): Promise<Notebook> {
  return JSON.parse(await Deno.readTextFile(path));
}
