import {
  compare,
  type Comparison,
  type PeerBench,
  peerName,
} from "#/bench/comparison.ts";
import { takeTurns, timed } from "#/bench/measure.ts";
import { ownPeak, resetOwnPeak } from "#/bench/peak_memory.ts";
import { PythonPeer } from "#/bench/python_peer.ts";
import { LLAMAS, sampleBatch, writeLlama } from "#/bench/sample_llama.ts";
import { Trainer } from "#/stages/train/trainer.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

/** What is trained, and how it is compared. */
interface Case {
  size: keyof typeof LLAMAS;
  batch: number;
  length: number;
  /** Bytes we may take, within which we go block by block; the peer recomputes. */
  memory?: number;
  rounds: number;
  goal: string;
  memoryGoal: string;
}

const LM_WEIGHT = 0.9;
const TOP = 10;

/** Forward, loss with a sparse teacher, backward, clipping and AdamW. */
export const trainingStepBench: PeerBench = {
  name: "training-step",
  async run() {
    const whole = {
      length: 256,
      rounds: 6,
      goal: "2×",
      memoryGoal: "no more",
    };
    return [
      ...await bench({ ...whole, size: "11 M", batch: 4 }),
      ...await bench({ ...whole, size: "1.8 M", batch: 8 }),
    ];
  },
};

/** The same of a larger model, where activations are computed twice. */
export const largeTrainingStepBench: PeerBench = {
  name: "training-step-168m",
  run: () =>
    bench({
      size: "168 M",
      batch: 4,
      length: 512,
      memory: 4.35e9,
      rounds: 3,
      goal: "1.6×",
      memoryGoal: "4.2 GB",
    }),
};

async function bench(
  { size, batch, length, memory, rounds, goal, memoryGoal }: Case,
): Promise<Comparison[]> {
  const lines: Comparison[] = [];
  await inTemporaryDirectory(async (model) => {
    await writeLlama(model, LLAMAS[size]);
    const rows = await sampleBatch(
      batch,
      length,
      TOP,
      LM_WEIGHT,
      LLAMAS[size].vocab_size,
    );
    resetOwnPeak();
    await using trainer = await openTrainer(model, LLAMAS[size], memory);
    await using peer = await PythonPeer.open("torch_llama.py");
    await peer?.call("load", { directory: model, train: true });
    let step = 0;
    let peerPeak = 0;
    const best = await takeTurns({
      ours: timed(() => trainer.update([rows], ++step, 1e-4)),
      peer: peer && (async () => {
        const { seconds, result } = await peer.call<{ peak_kib: number }>(
          "step",
          {
            ids: [...rows.inputIds],
            batch,
            length,
            recompute: memory !== undefined,
            fused: {
              ids: [...rows.fused!.ids],
              probs: [...rows.fused!.probs],
              lm_weight: LM_WEIGHT,
            },
          },
        );
        peerPeak = result.peak_kib * 1024;
        return seconds;
      }),
    }, rounds);
    const work = `training step, ${size} parameters, ${batch} × ${length}` +
      (memory ? ", recomputation" : "");
    lines.push(
      compare(work, best, peerName(peer, "autograd, AdamW"), goal),
      {
        work: `${work}: peak memory`,
        ours: gigabytes(ownPeak()),
        peer: peer ? gigabytes(peerPeak) : "absent, skipped",
        ...peer && { ratio: peerPeak / ownPeak() },
        goal: memoryGoal,
      },
    );
  });
  return lines;
}

function openTrainer(
  model: string,
  config: (typeof LLAMAS)[keyof typeof LLAMAS],
  memory: number | undefined,
): Promise<Trainer> {
  return Trainer.open({
    config,
    weights: model,
    seed: 1,
    vocabSize: config.vocab_size,
    topK: TOP,
    temperature: 1,
    loss: "cross-entropy",
    residual: "bucket",
    beta: 0.5,
    lossOn: "graph",
    recompute: memory ? "auto" : false,
    memory,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
    maxGradNorm: 1,
  });
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
