import {
  type AlignedPair,
  alignedPair,
  peerSteps,
} from "#/bench/aligned_pair.ts";
import {
  compare,
  type Comparison,
  type PeerBench,
  peerName,
} from "#/bench/comparison.ts";
import { takeTurns } from "#/bench/measure.ts";
import { PythonPeer } from "#/bench/python_peer.ts";
import {
  datasets,
  type DatasetSchema,
  hashInput,
  writeDataset,
} from "#/shards/mod.ts";
import { command as align } from "#/stages/align/main.ts";
import { call } from "#/stages/command.ts";
import { tokenizerFiles } from "#/stages/tokenizer_files.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

/** Blocks that we align; the peer takes one. */
const BLOCKS = 128;

/** The whole stage as a command, from datasets on disk to a dataset on disk. */
export const alignStageBench: PeerBench = {
  name: "align-stage",
  async run() {
    const lines: Comparison[] = [];
    await inTemporaryDirectory(async (root) => {
      const pair = await alignedPair(BLOCKS);
      await writeAlignInputs(root, pair);
      await using peer = await PythonPeer.open("reference.py");
      if (peer) await openTransform(peer, pair);
      const tokens = (rows: AlignedPair["targetRows"]) =>
        rows.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
      const all = tokens(pair.targetRows);
      const first = tokens(pair.targetRows.slice(0, 1));
      const runs = { count: 0 };
      const seconds = await takeTurns({
        ours: () => alignOnce(root, pair, `${root}/aligned${runs.count++}`),
        peer: peer && (() => transformOnce(peer, pair)),
      });
      lines.push(compare(
        `align stage, disk to disk, ${all} target tokens`,
        {
          ours: seconds.ours! / all,
          peer: seconds.peer && seconds.peer / first,
        },
        peerName(peer, `the reference's transform step, ${first} tokens`),
        "300×, 120,000 tokens/s",
        { amount: 1, of: "tokens" },
      ));
    });
    return lines;
  },
};

/**
 * Write what `pta align` reads: `target` and `source`, the representations, and
 * `mapping`.
 *
 * @param root Where to.
 * @param pair What is aligned.
 */
export async function writeAlignInputs(
  root: string,
  { target, source, targetRows, sourceRows, mapping }: AlignedPair,
): Promise<void> {
  const inputs = { text: new URL(import.meta.url).pathname };
  const write = <Row>(
    out: string,
    stage: string,
    schema: DatasetSchema<Row>,
    rows: readonly Row[],
    from: Record<string, string | string[]>,
    metadata: Record<string, unknown>,
  ) =>
    writeDataset(
      { out, stage, options: {}, inputs: from, schema, metadata },
      ({ rows: done }) => rows.slice(done),
    );
  const files = {
    target: tokenizerFiles(target.directory),
    source: tokenizerFiles(source.directory),
  };
  const { representations, vocabMappings } = datasets;
  const sides = { target: targetRows, source: sourceRows };
  for (const side of ["target", "source"] as const) {
    const tokenizer = await hashInput(files[side]);
    await write(
      `${root}/${side}`,
      "represent",
      representations,
      sides[side],
      inputs,
      { tokenizer },
    );
  }
  const mappingOut = `${root}/mapping`;
  await write(mappingOut, "map-vocab", vocabMappings, mapping, files, {});
}

async function alignOnce(
  root: string,
  { target, source }: AlignedPair,
  out: string,
): Promise<number> {
  const start = performance.now();
  await call(align, [
    ...["align", "--target", target.directory, "--source", source.directory],
    ...["--target-representations", `${root}/target`],
    ...["--source-representations", `${root}/source`],
    ...["--vocab-mapping", `${root}/mapping`, "--out", out],
    ...["--device", "cpu"],
  ]);
  return (performance.now() - start) / 1000;
}

async function openTransform(
  peer: PythonPeer,
  { target, source, mapping }: AlignedPair,
): Promise<void> {
  const respelled = (id: number) => source.tokens[id]!.replaceAll("Ġ", "▁");
  const images = mapping.filter(({ weight }) => weight > 0)
    .map(({ sourceId, targetId }) => [
      respelled(sourceId),
      target.tokens[targetId]!,
    ]);
  await peer.call("openTransform", {
    name: "bench",
    target_tokens: target.tokens,
    source_tokens: source.tokens,
    markers: ["▁", "Ġ"],
    mapping: Object.fromEntries(images),
  });
}

async function transformOnce(
  peer: PythonPeer,
  { targetRows, sourceRows }: AlignedPair,
): Promise<number> {
  const { seconds } = await peer.call("transform", {
    name: "bench",
    target: peerSteps(targetRows[0]!),
    source: peerSteps(sourceRows[0]!),
    method: "ot",
  });
  return seconds;
}
