import { join } from "node:path";
import { adamw, allocateAdamw, sumSquares } from "#/kernels/adamw/adamw.ts";
import type { AdamwArrays } from "#/kernels/adamw/adamw_cpu.ts";
import {
  openCheckpoint,
  readSafetensorsHeader,
  readWeight,
  saveCheckpoint,
  type Weight,
} from "#/models/mod.ts";
import type { StorageDtype } from "#/models/dtypes.ts";
import { writeSafetensors } from "#/models/write_safetensors.ts";
import { initialWeights } from "#/models/initial_weights.ts";
import type { Batch } from "#/stages/train/batches.ts";
import type { Arrays } from "#/stages/train/feeds.ts";
import {
  type LossHome,
  lossHomes,
  openScoring,
  type Pass,
  type PassOptions,
  type Scoring,
} from "#/stages/train/passes.ts";

/** A model to train, and how; goes to the worker as a message. */
export interface TrainerSetup extends PassOptions {
  /** config.json, verbatim. */
  config: Record<string, unknown>;
  /** Directory of the weights to start from; without it they are drawn. */
  weights?: string | undefined;
  /** Directory of the optimizer's state to go on from. */
  optimizer?: string | undefined;
  /** Of drawn weights. */
  seed: number;
  /** Where the loss is computed. */
  lossOn: LossHome;
  /** Decay of the first moment. */
  beta1: number;
  /** Decay of the second moment. */
  beta2: number;
  /** Added to the square root of the second moment. */
  epsilon: number;
  /** Decoupled decay of matrices that are no embeddings. */
  weightDecay: number;
  /** Longest gradient; longer ones are scaled to it. */
  maxGradNorm: number;
}

/** What one update came to. */
export interface UpdateResult {
  /** The label's part of the loss. */
  crossEntropy: number;
  /** The fused distribution's part of the loss. */
  distance: number;
  /** Norm of the gradient before clipping. */
  gradNorm: number;
}

/** Arrays as long as the weights, by the weights' names. */
type Moments = ReadonlyMap<string, Weight>;

/** A model's weights, their optimizer and the sessions that differentiate it. */
export class Trainer implements AsyncDisposable {
  readonly #setup: TrainerSetup;
  readonly #weights: Arrays;
  readonly #gradients: Arrays;
  readonly #m: Moments;
  readonly #v: Moments;
  readonly #pass: Pass;
  /** Filled by the second and later batches of an update. */
  #more: Arrays | undefined;
  #scoring: Scoring | undefined;

  private constructor(
    setup: TrainerSetup,
    state: Record<keyof AdamwArrays, Arrays>,
    pass: Pass,
  ) {
    this.#setup = setup;
    this.#weights = state.param;
    this.#gradients = state.grad;
    this.#m = state.m;
    this.#v = state.v;
    this.#pass = pass;
  }

  /**
   * Load or draw the weights and build the graphs.
   *
   * @param setup See {@linkcode TrainerSetup}.
   * @returns The trainer, to be closed by the caller.
   */
  static async open(setup: TrainerSetup): Promise<Trainer> {
    const all = setup.weights
      ? await readModel(setup.weights)
      : initialWeights(setup.config, setup.seed);
    // The pass lives on; with the arrays it would keep the weights a second time.
    const shapes = new Map(
      Array.from(all, ([name, { shape }]) => [name, { shape }]),
    );
    const pass = await lossHomes[setup.lossOn](setup.config, shapes, setup);
    const weights = new Map(
      pass.weightNames.map((name) => [name, all.get(name)!]),
    );
    const state = allocateState(weights);
    copyTo(state.param, weights);
    if (setup.optimizer) {
      const [m, v] = await readMoments(setup.optimizer, weights);
      copyTo(state.m, m);
      copyTo(state.v, v);
    }
    return new Trainer(setup, state, pass);
  }

  /**
   * Learn from the batches of one update.
   *
   * @param batches Their gradients add up.
   * @param step Which update, from 1.
   * @param learningRate Its learning rate.
   * @returns What it came to.
   * @throws {RangeError} If loss or gradient is not finite; nothing is updated.
   */
  async update(
    batches: readonly Batch[],
    step: number,
    learningRate: number,
  ): Promise<UpdateResult> {
    const { crossEntropy, distance } = await this.#backward(batches);
    const gradNorm = this.#gradientNorm();
    if (!Number.isFinite(crossEntropy + distance + gradNorm)) {
      throw new RangeError(
        `Cannot go on training at step ${step}: the loss is ` +
          `${
            crossEntropy + distance
          } and the norm of its gradient ${gradNorm}, ` +
          "expected finite numbers (a lower learning rate may help)",
      );
    }
    const { beta1, beta2, epsilon, weightDecay, maxGradNorm } = this.#setup;
    for (const [name, { shape, data }] of this.#weights) {
      adamw({
        param: data,
        grad: this.#gradients.get(name)!.data,
        m: this.#m.get(name)!.data,
        v: this.#v.get(name)!.data,
      }, {
        step,
        learningRate,
        beta1,
        beta2,
        epsilon,
        weightDecay: decays(name, shape) ? weightDecay : 0,
        gradScale: Math.min(1, maxGradNorm / (gradNorm + 1e-6)),
      });
    }
    return { crossEntropy, distance, gradNorm };
  }

  /**
   * Score a batch without learning from it.
   *
   * @param batch The batch; its teachers are left out.
   * @returns Σ label weight · cross-entropy.
   */
  async score(batch: Batch): Promise<number> {
    const { config } = this.#setup;
    this.#scoring ??= openScoring(config, this.#weights, this.#setup);
    return await this.#scoring.run(batch, this.#weights);
  }

  /**
   * Write config.json and the weights.
   *
   * @param directory Where to.
   * @param dtype What the weights are rounded to.
   */
  async saveModel(directory: string, dtype: StorageDtype): Promise<void> {
    await saveCheckpoint(directory, this.#setup.config, this.#weights, {
      dtype,
    });
  }

  /**
   * Write the optimizer's state.
   *
   * @param directory Where to.
   */
  async saveOptimizer(directory: string): Promise<void> {
    const all = new Map<string, Weight>();
    for (const [name, moment] of this.#m) all.set(`m.${name}`, moment);
    for (const [name, moment] of this.#v) all.set(`v.${name}`, moment);
    await writeSafetensors(join(directory, OPTIMIZER), all);
  }

  /** Free the sessions. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pass[Symbol.asyncDispose]();
    await this.#scoring?.[Symbol.asyncDispose]();
  }

  async #backward(batches: readonly Batch[]) {
    let crossEntropy = 0;
    let distance = 0;
    for (const [index, batch] of batches.entries()) {
      const target = index === 0
        ? this.#gradients
        : this.#more ??= zerosLike(this.#weights);
      const values = await this.#pass.run(batch, this.#weights, target);
      crossEntropy += values.crossEntropy;
      distance += values.distance;
      if (index > 0) addTo(this.#gradients, target);
    }
    return { crossEntropy, distance };
  }

  #gradientNorm(): number {
    let squares = 0;
    for (const { data } of this.#gradients.values()) {
      squares += sumSquares(data);
    }
    return Math.sqrt(squares);
  }
}

const OPTIMIZER = "optimizer.safetensors";

/** Names of embeddings, which like norms and biases are not decayed. */
const EMBEDDING = /(^|\.)(embed_tokens|embed_in|wte|wpe)\.weight$/;

function decays(name: string, shape: readonly number[]): boolean {
  return shape.length > 1 && !EMBEDDING.test(name);
}

async function readModel(directory: string): Promise<Arrays> {
  const { weights } = await openCheckpoint(directory);
  const arrays = new Map<string, Weight>();
  for (const [name, info] of weights) {
    arrays.set(name, { shape: info.shape, data: await readWeight(info) });
  }
  return arrays;
}

async function readMoments(
  directory: string,
  weights: Arrays,
): Promise<[Moments, Moments]> {
  const file = join(directory, OPTIMIZER);
  const header = await readSafetensorsHeader(file);
  const read = async (prefix: string) => {
    const moments = new Map<string, Weight>();
    for (const [name, { shape }] of weights) {
      const info = header.weights.get(prefix + name);
      if (!info) {
        throw new RangeError(
          `Cannot resume from ${file}: ${prefix}${name} is missing`,
        );
      }
      moments.set(name, { shape, data: await readWeight(info) });
    }
    return moments;
  };
  return [await read("m."), await read("v.")];
}

/** Where the optimizer updates weights without copies. */
function allocateState(weights: Arrays): Record<keyof AdamwArrays, Arrays> {
  const shapes = [...weights].map(([name, { shape }]) => ({ name, shape }));
  const allocated = allocateAdamw(
    Array.from(weights.values(), ({ data }) => data.length),
  );
  const pick = (array: keyof AdamwArrays): Arrays =>
    new Map(shapes.map(({ name, shape }, index) => [
      name,
      { shape, data: allocated[index]![array] },
    ]));
  return {
    param: pick("param"),
    grad: pick("grad"),
    m: pick("m"),
    v: pick("v"),
  };
}

function copyTo(arrays: Arrays, from: Arrays): void {
  for (const [name, { data }] of arrays) data.set(from.get(name)!.data);
}

function zerosLike(arrays: Arrays): Arrays {
  return new Map(Array.from(arrays, ([name, { shape, data }]) => [
    name,
    { shape, data: new Float32Array(data.length) },
  ]));
}

function addTo(sums: Arrays, more: Arrays): void {
  for (const [name, { data }] of sums) {
    const other = more.get(name)!.data;
    for (let i = 0; i < data.length; i++) data[i]! += other[i]!;
  }
}
