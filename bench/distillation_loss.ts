import {
  compare,
  type Comparison,
  type PeerBench,
  peerName,
} from "#/bench/comparison.ts";
import { timeParts } from "#/bench/difference.ts";
import { rested, takeTurns, timed } from "#/bench/measure.ts";
import { PythonPeer } from "#/bench/python_peer.ts";
import {
  crossEntropy,
  DeviceArray,
  type LossRows,
  requestDevice,
} from "#/kernels/mod.ts";
import { recordLoss } from "#/models/training.ts";
import {
  createSession,
  encodeModel,
  gemm,
  gradients,
  mul,
  type Session,
  Tape,
  type Tensor,
} from "#/onnx/mod.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";

const [ROWS, VOCAB, TOP] = [512, 32_000, 10];

/** Narrow, so that the noise of the head's products does not drown the loss. */
const HIDDEN = 16;

/** Batches that share the 11 ms which Deno takes to notice that a device is done. */
const TOGETHER = 2;

/**
 * The loss of labels and sparse teachers, and its gradient, in four settings.
 *
 * In a graph that goes on, as training does: a head makes the logits, and its
 * products take their gradient, forward and backward with the loss less the same
 * with a given gradient by the logits. In ours, the gradient stays a softmax with
 * corrections and a factor a row, which the products take as it is; torch writes it
 * out, since that is what its autograd does. The same head and loss as a whole.
 * In a graph that ends there, so that the gradient is written out and copied to
 * JavaScript, against torch's loss alone. And in the shader, against the same: with
 * logits and gradient on the device, only the values being read, for one batch and
 * for some that wait together as micro-batches do, and with both copied.
 */
export const distillationLossBench: PeerBench = {
  name: "distillation-loss",
  async run() {
    const rows = makeRows();
    const device = await requestDevice();
    await using peer = await PythonPeer.open("torch_loss.py");
    const lines: Comparison[] = [];
    await inTemporaryDirectory(async (folder) => {
      if (peer) await load(peer, rows, folder);
      lines.push(...await benchHead(rows, peer));
      lines.push(...await benchAlone(rows, peer, device));
    });
    device?.destroy();
    return lines;
  },
};

const work = `distillation loss, T = ${ROWS}, V = 32,000`;

async function benchHead(
  rows: LossRows,
  peer: PythonPeer | undefined,
): Promise<Comparison[]> {
  await using withLoss = await openGraph(recordHead(true));
  await using withoutLoss = await openGraph(recordHead(false));
  const head = makeHead();
  const fetches = {
    dx: real([ROWS, HIDDEN], new Float32Array(ROWS * HIDDEN)),
    dw: real([VOCAB, HIDDEN], new Float32Array(VOCAB * HIDDEN)),
  };
  const { logits: _, ...targets } = feedsOf(rows);
  const factor = real([ROWS, 1], rows.labelWeight);
  const ask = (loss: boolean) => async () =>
    (await peer!.call("head", { loss })).seconds;
  const { ours, theirs } = await timeParts({
    ours: {
      whole: timed(() =>
        withLoss.run({ ...head, ...targets }, { ...fetches, loss: null })
      ),
      without: timed(() => withoutLoss.run({ ...head, factor }, fetches)),
    },
    theirs: peer && { whole: ask(true), without: ask(false) },
  }, 15);
  const name = peerName(peer, "sparse");
  return [
    compare(
      `${work}, in a graph: a head with it less the head alone`,
      { ours: ours?.part, peer: theirs?.part },
      name,
      "10×",
    ),
    compare(
      `${work}, in a graph: a head ${HIDDEN} wide with it`,
      { ours: ours?.whole, peer: theirs?.whole },
      name,
      "",
    ),
  ];
}

async function benchAlone(
  rows: LossRows,
  peer: PythonPeer | undefined,
  device: GPUDevice | undefined,
): Promise<Comparison[]> {
  await using session = await openGraph(recordLossAlone());
  const feeds = feedsOf(rows);
  const fetches = {
    loss: null,
    dlogits: real([ROWS, VOCAB], new Float32Array(ROWS * VOCAB)),
  };
  const ask = (form: string) =>
    peer && (async () => (await peer.call("run", { form })).seconds);
  using logits = device && DeviceArray.from(device, rows.logits);
  const onDevice = async (logits: DeviceArray) => {
    const { dlogits } = await crossEntropy(device!, { ...rows, logits });
    dlogits[Symbol.dispose]();
  };
  const best = await takeTurns({
    graph: rested(timed(() => session.run(feeds, fetches))),
    resident: rested(logits && timed(() => onDevice(logits))),
    together: rested(
      logits && (async () => {
        const all = Array.from({ length: TOGETHER }, () => logits);
        return await timed(() => Promise.all(all.map(onDevice)))() / TOGETHER;
      }),
    ),
    copied: rested(device && timed(() => crossEntropy(device, rows))),
    sparse: rested(ask("sparse")),
    dense: rested(ask("dense")),
  }, 7);
  const { sparse, dense } = best;
  const name = peerName(peer, "sparse");
  const line = (what: string, ours: number | undefined, goal: string) =>
    compare(`${work}, ${what}`, { ours, peer: sparse }, name, goal);
  const resident = "WebGPU, logits and gradient on the device";
  const written = "gradient written out and copied to JavaScript";
  return [
    line(written, best.graph, ""),
    compare(
      `${work}, ${written}`,
      { ours: best.graph, peer: dense },
      peerName(peer, "dense teacher, as published"),
      "",
    ),
    line(`${resident}, each of ${TOGETHER} together`, best.together, "3×"),
    line(`${resident}, alone`, best.resident, ""),
    line("WebGPU, both copied", best.copied, ""),
  ];
}

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

const distillation = {
  topK: TOP,
  loss: "cross-entropy",
  temperature: 1,
} as const;

function recordLossAlone(): Tape {
  const tape = new Tape();
  const logits = tape.input("logits", "float32", ["N", VOCAB]);
  tape.output(recordLoss(tape, logits, distillation), "dlogits");
  return tape;
}

/** A head and its backward products, from the loss or from row-wise scaled logits. */
function recordHead(withLoss: boolean): Tape {
  const tape = new Tape();
  const x = tape.input("x", "float32", ["N", HIDDEN]);
  const w = tape.input("w", "float32", [VOCAB, HIDDEN]);
  const logits = gemm(x, w, { transB: true });
  const gradient = withLoss
    ? recordLoss(tape, logits, distillation)
    : mul(logits, tape.input("factor", "float32", ["N", 1]));
  const [dx, dw] = gradients([{ value: logits, gradient }], [x, w]);
  tape.output(dx!, "dx");
  tape.output(dw!, "dw");
  return tape;
}

async function openGraph(tape: Tape): Promise<Session> {
  return await createSession(encodeModel(tape.model()), { device: "cpu" });
}

function makeHead(): Record<string, Tensor> {
  const random = mulberry32(2);
  const matrix = (rows: number) =>
    real(
      [rows, HIDDEN],
      Float32Array.from({ length: rows * HIDDEN }, () => random() - 0.5),
    );
  return { x: matrix(ROWS), w: matrix(VOCAB) };
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
  await peer.call("load", { folder, rows: ROWS, vocab, top, hidden: HIDDEN });
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
