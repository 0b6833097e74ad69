/**
 * Runs us and the peers in turn on the same inputs and prints a table.
 *
 *     deno task bench:peers [NAME…]
 *
 * Peers are Python (Debian's python3-numpy, python3-torch, python3-pot with
 * libopenblas0-pthread; rapidfuzz and editdistance where they are installed);
 * one that is absent is skipped and named.
 *
 * @module
 */

import {
  type Comparison,
  type PeerBench,
  tableHead,
  tableLines,
} from "#/bench/comparison.ts";

/** The benches by name, in the order of the table of targets. */
const files = {
  "position-pairs": async () =>
    (await import("./position_pairs.ts")).positionPairsBench,
  "align-stage": async () => (await import("./align_stage.ts")).alignStageBench,
  "vocabulary-mapping": async () =>
    (await import("./vocabulary_mapping.ts")).vocabularyMappingBench,
  "sinkhorn": async () => (await import("./sinkhorn.ts")).sinkhornBench,
  "distillation-loss": async () =>
    (await import("./distillation_loss.ts")).distillationLossBench,
  "represent": async () => (await import("./represent.ts")).representBench,
  "training-step": async () =>
    (await import("./training_step.ts")).trainingStepBench,
  "training-step-168m": async () =>
    (await import("./training_step.ts")).largeTrainingStepBench,
  "adamw": async () => (await import("./adamw.ts")).adamwBench,
  "bytes-per-token": async () =>
    (await import("./bytes_per_token.ts")).bytesPerTokenBench,
  "stages": async () => (await import("./stage_speed.ts")).stageSpeedBench,
  "stage-memory": async () =>
    (await import("./stage_memory.ts")).stageMemoryBench,
} satisfies Record<string, () => Promise<PeerBench>>;

/** The name of a bench. */
export type BenchName = keyof typeof files;

/** The names of all benches. */
export const benchNames = Object.keys(files) as BenchName[];

/**
 * Run a bench.
 *
 * @param name Which one.
 * @returns Its lines of the table.
 */
export async function runBench(name: BenchName): Promise<Comparison[]> {
  return await (await files[name]()).run();
}

async function main(args: readonly string[]): Promise<void> {
  const unknown = args.find((name) => !(name in files));
  if (unknown !== undefined) {
    throw new RangeError(
      `Cannot run bench ${unknown}: expected some of ${benchNames.join(", ")}`,
    );
  }
  const names = args.length > 0 ? args as BenchName[] : benchNames;
  await write(Deno.stdout, tableHead + "\n");
  for (const name of names) {
    await write(Deno.stderr, `${name} …\n`);
    const lines = tableLines(await runBench(name));
    await write(Deno.stdout, lines.join("\n") + "\n");
  }
}

async function write(
  to: { write(bytes: Uint8Array): Promise<number> },
  text: string,
): Promise<void> {
  await to.write(new TextEncoder().encode(text));
}

if (import.meta.main) await main(Deno.args);
