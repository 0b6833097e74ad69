import {
  compare,
  type Comparison,
  type PeerBench,
  peerName,
} from "#/bench/comparison.ts";
import { takeTurns, timed } from "#/bench/measure.ts";
import { PythonPeer } from "#/bench/python_peer.ts";
import { crossEntropy, type LossRows, requestDevice } from "#/kernels/mod.ts";
import { recordLoss } from "#/models/training.ts";
import {
  createSession,
  encodeModel,
  type Session,
  Tape,
  type Tensor,
} from "#/onnx/mod.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";

const [ROWS, VOCAB, TOP] = [512, 32_000, 10];

/** The loss of labels and sparse teachers, and its gradient. */
export const distillationLossBench: PeerBench = {
  name: "distillation-loss",
  async run() {
    const rows = makeRows();
    const device = await requestDevice();
    await using session = await openLoss();
    await using peer = await PythonPeer.open("torch_loss.py");
    const lines: Comparison[] = [];
    await inTemporaryDirectory(async (folder) => {
      if (peer) await load(peer, rows, folder);
      const ask = (form: string) =>
        peer && (async () => (await peer.call("run", { form })).seconds);
      const feeds = feedsOf(rows);
      const fetches = {
        loss: null,
        dlogits: real([ROWS, VOCAB], new Float32Array(ROWS * VOCAB)),
      };
      const best = await takeTurns({
        graph: timed(() => session.run(feeds, fetches)),
        kernel: device && timed(() => crossEntropy(device, rows)),
        sparse: ask("sparse"),
        dense: ask("dense"),
      }, 5);
      const work = `distillation loss, T = ${ROWS}, V = 32,000`;
      const sparse = peerName(peer, "sparse");
      const dense = peerName(peer, "dense teacher, as published");
      const { graph, kernel } = best;
      lines.push(
        compare(
          `${work}, graph`,
          { ours: graph, peer: best.sparse },
          sparse,
          "10×",
        ),
        compare(`${work}, graph`, { ours: graph, peer: best.dense }, dense, ""),
        compare(
          `${work}, WebGPU`,
          { ours: kernel, peer: best.sparse },
          sparse,
          "3×",
        ),
      );
    });
    device?.destroy();
    return lines;
  },
};

function makeRows(): LossRows {
  const random = mulberry32(1);
  const filled = (length: number, value: () => number) =>
    Float32Array.from({ length }, value);
  return {
    logits: filled(ROWS * VOCAB, () => 12 * random() ** 5),
    labels: Int32Array.from({ length: ROWS }, () => random() * VOCAB),
    labelWeight: filled(ROWS, () => 0.9 / ROWS),
    fusedIds: Int32Array.from(
      { length: ROWS * TOP },
      (_, entry) => (entry * 7919) % VOCAB,
    ),
    fusedProbs: filled(ROWS * TOP, () => 0.09),
    fusedResidual: filled(ROWS, () => 0.1),
    fusedWeight: filled(ROWS, () => 0.1 / ROWS),
    vocabSize: VOCAB,
    topK: TOP,
  };
}

async function openLoss(): Promise<Session> {
  const tape = new Tape();
  const logits = tape.input("logits", "float32", ["N", VOCAB]);
  const distillation = {
    topK: TOP,
    loss: "cross-entropy",
    temperature: 1,
  } as const;
  tape.output(recordLoss(tape, logits, distillation), "dlogits");
  return await createSession(encodeModel(tape.model()), { device: "cpu" });
}

function feedsOf(rows: LossRows): Record<string, Tensor> {
  const int64 = (dims: number[], data: Int32Array): Tensor => ({
    type: "int64",
    dims,
    data: BigInt64Array.from(data, BigInt),
  });
  return {
    logits: real([ROWS, VOCAB], rows.logits),
    labels: int64([1, ROWS], rows.labels),
    ce_weight: real([1, ROWS], rows.labelWeight),
    fused_ids: int64([1, ROWS, TOP], rows.fusedIds),
    fused_probs: real([1, ROWS, TOP], rows.fusedProbs),
    fused_residual: real([1, ROWS], rows.fusedResidual),
    fused_weight: real([1, ROWS], rows.fusedWeight),
  };
}

function real(dims: number[], data: Float32Array): Tensor {
  return { type: "float32", dims, data };
}

async function load(
  peer: PythonPeer,
  rows: LossRows,
  folder: string,
): Promise<void> {
  for (const name of ARRAYS) {
    await Deno.writeFile(
      `${folder}/${name}`,
      new Uint8Array(rows[name].buffer),
    );
  }
  const { vocabSize: vocab, topK: top } = rows;
  await peer.call("load", { folder, rows: ROWS, vocab, top });
}

const ARRAYS = [
  "logits",
  "labels",
  "labelWeight",
  "fusedIds",
  "fusedProbs",
  "fusedResidual",
  "fusedWeight",
] as const;
