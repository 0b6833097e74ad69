/**
 * What a run of the demo left, for the notebook that draws it. As a program it
 * copies the results of `out/demo` to `docs/demo.json`, which is committed, so
 * that the notebook has something to draw where the demo has not run.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** A run of the demo. */
export interface DemoRun {
  /** Seed of the data order. */
  seed: number;
  /** Seconds the whole run took. */
  seconds: number;
  /** Bits per byte on held-out text, by student and domain. */
  bits_per_byte: Record<string, Record<string, number>>;
  /** Steps and training loss in nats per token, by student. */
  curves: Record<string, [step: number, loss: number][]>;
}

const root = new URL("../", import.meta.url);
const committed = new URL("docs/demo.json", root);

/**
 * Read the demo's results.
 *
 * @param out Where the demo ran; defaults to `out/demo`.
 * @returns The results of that run, or the committed ones where there is none.
 */
export async function readDemo(
  out: string = fileURLToPath(new URL("out/demo", root)),
): Promise<DemoRun> {
  try {
    const results = JSON.parse(await Deno.readTextFile(`${out}/results.json`));
    const curves: DemoRun["curves"] = {};
    for (const student of Object.keys(results.bits_per_byte)) {
      if (student === "before") continue;
      const directory = `${out}/students/${student}-${results.seed}`;
      curves[student] = await readCurve(`${directory}/metrics.jsonl`);
    }
    return { ...results, curves };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return JSON.parse(await Deno.readTextFile(committed));
  }
}

async function readCurve(file: string): Promise<[number, number][]> {
  const lines = (await Deno.readTextFile(file)).trim().split("\n");
  return lines.map((line) => JSON.parse(line))
    .filter((line) => Number.isFinite(line.loss))
    .map((line) => [line.step, Number(line.loss.toFixed(4))]);
}

if (import.meta.main) {
  const run = await readDemo(Deno.args[0]);
  const text = JSON.stringify(run).replaceAll(/("\w[\w-]*":\{)/g, "\n$1");
  await Deno.writeTextFile(committed, text + "\n");
}
