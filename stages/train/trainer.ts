import { join } from "node:path";
import { adamw, allocateAdamw, sumSquares } from "#/kernels/adamw/adamw.ts";
import type { AdamwArrays } from "#/kernels/adamw/adamw_cpu.ts";
import {
  expectedWeights,
  initialWeights,
  openCheckpoint,
  readSafetensorsHeader,
  readWeight,
  saveCheckpoint,
  type Weight,
  type WeightShapes,
} from "#/models/mod.ts";
import type { StorageDtype } from "#/models/dtypes.ts";
import { writeSafetensors } from "#/models/write_safetensors.ts";
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
    const source = await openSource(setup);
    const pass = await lossHomes[setup.lossOn](
      setup.config,
      source.shapes,
      setup,
    );
    const state = allocateState(
      pass.weightNames.map((name) => {
        const { shape } = source.shapes.get(name)!;
        return { name, shape };
      }),
    );
    await source.fill(state.param);
    if (setup.optimizer) await readMoments(setup.optimizer, state);
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
      const values = await this.#pass.run(
        batch,
        this.#weights,
        this.#gradients,
        index > 0,
      );
      crossEntropy += values.crossEntropy;
      distance += values.distance;
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

/** Where the weights to start from come from. */
interface WeightSource {
  shapes: WeightShapes;
  /** Writes them to where they are trained, so that they never exist twice. */
  fill(into: Arrays): Promise<void>;
}

async function openSource(
  { config, weights, seed }: TrainerSetup,
): Promise<WeightSource> {
  if (weights) {
    const { weights: infos } = await openCheckpoint(weights);
    return {
      shapes: infos,
      async fill(into) {
        for (const [name, { data }] of into) {
          await readWeight(infos.get(name)!, data);
        }
      },
    };
  }
  const expected = expectedWeights(config);
  return {
    shapes: new Map(expected.map(({ name, shape }) => [name, { shape }])),
    fill(into) {
      initialWeights(config, seed, (name) => into.get(name)!.data);
      return Promise.resolve();
    },
  };
}

async function readMoments(
  directory: string,
  { m, v }: Record<"m" | "v", Arrays>,
): Promise<void> {
  const file = join(directory, OPTIMIZER);
  const header = await readSafetensorsHeader(file);
  for (const [prefix, moments] of [["m.", m], ["v.", v]] as const) {
    for (const [name, { data }] of moments) {
      const info = header.weights.get(prefix + name);
      if (!info) {
        throw new RangeError(
          `Cannot resume from ${file}: ${prefix}${name} is missing`,
        );
      }
      await readWeight(info, data);
    }
  }
}

/** Where the optimizer updates weights without copies. */
function allocateState(
  shapes: readonly { name: string; shape: readonly number[] }[],
): Record<keyof AdamwArrays, Arrays> {
  const allocated = allocateAdamw(
    shapes.map(({ shape }) => shape.reduce((length, size) => length * size, 1)),
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
