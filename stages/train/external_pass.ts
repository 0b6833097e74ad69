import { requestDevice } from "#/kernels/device.ts";
import {
  losses,
  type LossOptions,
  type LossOutput,
  type LossRows,
} from "#/kernels/losses/mod.ts";
import { trainingModel, type WeightShapes } from "#/models/mod.ts";
import {
  gradientFetches,
  lossRows,
  tokenFeeds,
  weightFeeds,
} from "#/stages/train/feeds.ts";
import {
  type OpenPass,
  openSessions,
  type Pass,
  type PassOptions,
} from "#/stages/train/pass.ts";

/**
 * The model as two graphs, and between them the loss's kernel.
 *
 * @param config config.json, verbatim.
 * @param weights Shapes of the weights.
 * @param options See {@linkcode PassOptions}.
 * @returns The pass, to be closed by the caller.
 * @throws {Error} If there is no device.
 */
export const openWebgpuPass: OpenPass = async (config, weights, options) => {
  const device = await requestDevice();
  if (!device) {
    throw new Error(
      "Cannot compute the loss on webgpu: no adapter was found (a Vulkan " +
        "driver such as mesa-vulkan-drivers gives one); --loss-on cpu needs none",
    );
  }
  const { kernel } = losses[options.loss];
  const pass = openExternalPass(
    config,
    weights,
    options,
    (rows, lossOptions) => kernel(device, rows, lossOptions),
  );
  return {
    ...pass,
    async [Symbol.asyncDispose]() {
      await pass[Symbol.asyncDispose]();
      device.destroy();
    },
  };
};

/**
 * The model as two graphs, and between them the loss's f64 reference, which
 * needs no device and is slower.
 *
 * @param config config.json, verbatim.
 * @param weights Shapes of the weights.
 * @param options See {@linkcode PassOptions}.
 * @returns The pass, to be closed by the caller.
 */
export const openCpuPass: OpenPass = (config, weights, options) => {
  const { cpu } = losses[options.loss];
  return Promise.resolve(openExternalPass(config, weights, options, cpu));
};

/** A loss between the two graphs, in either of its forms. */
type ComputeLoss = (
  rows: LossRows,
  options: LossOptions,
) =>
  | Promise<LossOutput>
  | LossOutput<Float32Array | Float64Array>;

function openExternalPass(
  config: Record<string, unknown>,
  weights: WeightShapes,
  options: PassOptions,
  compute: ComputeLoss,
): Pass {
  const graph = { loss: "external" } as const;
  const { weightNames } = trainingModel(config, weights, graph);
  const open = (backward: boolean) =>
    openSessions(config, weights, { ...graph, backward }, options);
  const forward = open(false);
  const backward = open(true);
  return {
    weightNames,
    async run(batch, weights, gradients, adds = false) {
      const feeds = { ...weightFeeds(weights), ...tokenFeeds(batch) };
      const scoring = await forward.fitting(batch.length);
      const { logits } = await scoring.run(feeds, ["logits"]);
      const rows = lossRows(batch, logits!.data as Float32Array, options);
      const { dlogits, ...values } = await compute(rows, options);
      const dims = [batch.batch, batch.length, options.vocabSize];
      const data = Float32Array.from(dlogits);
      const learning = await backward.fitting(batch.length);
      await learning[adds ? "runAdding" : "run"](
        { ...feeds, dlogits: { type: "float32", dims, data } },
        gradientFetches(gradients),
      );
      return {
        crossEntropy: dot(rows.labelWeight, values.crossEntropy),
        distance: dot(rows.fusedWeight, values.distance),
      };
    },
    async [Symbol.asyncDispose]() {
      await forward.close();
      await backward.close();
    },
  };
}

function dot(
  weights: Float32Array,
  values: Float32Array | Float64Array,
): number {
  let sum = 0;
  // A value without weight may be anything, NaN too.
  weights.forEach((weight, i) => {
    if (weight !== 0) sum += weight * values[i]!;
  });
  return sum;
}
