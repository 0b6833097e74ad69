import { alignedPair } from "#/bench/aligned_pair.ts";
import { writeAlignInputs } from "#/bench/align_stage.ts";
import type { Comparison, PeerBench } from "#/bench/comparison.ts";
import { peakOfCommand } from "#/bench/peak_memory.ts";
import { chapters } from "#/bench/texts.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

/** The novel so many times: memory must not follow. */
const COPIES = [1, 4, 16] as const;

const program = new URL("../cli.ts", import.meta.url).pathname;

/** Peak memory of the stages that stream, as processes of their own. */
export const stageMemoryBench: PeerBench = {
  name: "stage-memory",
  async run() {
    const lines: Comparison[] = [];
    await inTemporaryDirectory(async (root) => {
      const pair = await alignedPair(128);
      const { target, source } = pair;
      const models = ["--target", target.directory];
      const both = [...models, "--source", source.directory];
      for (const copies of COPIES) {
        const folder = `${root}/${copies}`;
        await Deno.mkdir(folder);
        await writeText(`${folder}/text.jsonl`, copies);
        const repeated = {
          ...pair,
          targetRows: repeat(pair.targetRows, copies),
          sourceRows: repeat(pair.sourceRows, copies),
        };
        await writeAlignInputs(folder, repeated);
        const commands = {
          split: [...both, "--text", `${folder}/text.jsonl`],
          align: [
            ...[...both, "--vocab-mapping", `${folder}/mapping`],
            ...["--target-representations", `${folder}/target`],
            ...["--source-representations", `${folder}/source`],
            ...["--device", "cpu"],
          ],
          pack: [
            ...["--target-representations", `${folder}/target`],
            ...["--aligned", `${folder}/align`, "--length", "4096"],
          ],
        };
        for (const [stage, flags] of Object.entries(commands)) {
          const out = ["--out", `${folder}/${stage}`];
          const run = ["run", "-A", "-q", program, stage, ...flags, ...out];
          const { bytes, seconds } = await peakOfCommand(run);
          lines.push({
            work: `peak memory of ${stage}, the novel ${copies}×`,
            ours: `${Math.round(bytes / 1e6)} MB in ${seconds.toFixed(1)} s`,
            peer: "none",
            goal: "600 MB",
          });
        }
      }
    });
    return lines;
  },
};

function repeat<Row extends { id: string }>(
  rows: readonly Row[],
  copies: number,
): Row[] {
  return Array.from(
    { length: copies },
    (_, copy) => rows.map((row) => ({ ...row, id: `${row.id}, copy ${copy}` })),
  ).flat();
}

async function writeText(path: string, copies: number): Promise<void> {
  const lines = (await chapters()).map((text) =>
    JSON.stringify({ text }) + "\n"
  );
  for (let copy = 0; copy < copies; copy++) {
    await Deno.writeTextFile(path, lines.join(""), { append: true });
  }
}
