import { createSession, type Session, type Tensor } from "#/onnx/mod.ts";
import {
  type InitialWeight,
  initialWeights,
  trainingModel,
} from "#/models/mod.ts";

const llama = {
  model_type: "llama",
  hidden_size: 20,
  intermediate_size: 28,
  num_attention_heads: 6,
  num_key_value_heads: 3,
  head_dim: 10,
  num_hidden_layers: 2,
  vocab_size: 37,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 64,
  rope_theta: 500,
};
const gpt2 = {
  model_type: "gpt2",
  n_embd: 18,
  n_head: 3,
  n_layer: 2,
  n_positions: 64,
  vocab_size: 37,
};
const gptNeox = {
  model_type: "gpt_neox",
  hidden_size: 36,
  intermediate_size: 52,
  num_attention_heads: 3,
  num_hidden_layers: 2,
  vocab_size: 37,
  max_position_embeddings: 64,
  rotary_pct: 0.5,
};
const mpt = {
  model_type: "mpt",
  d_model: 30,
  n_heads: 5,
  n_layers: 2,
  expansion_ratio: 2,
  max_seq_len: 64,
  vocab_size: 37,
};

/** Small models of every architecture and of the options they know, by what is odd about them. */
export const TINY_CONFIGS = {
  "llama, grouped queries": llama,
  "llama, tied, with biases": {
    ...llama,
    tie_word_embeddings: true,
    attention_bias: true,
    mlp_bias: true,
    hidden_act: "gelu_pytorch_tanh",
  },
  "llama, one key head, llama3 rope": {
    ...llama,
    num_key_value_heads: 1,
    rope_scaling: {
      rope_type: "llama3",
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 16,
    },
  },
  "llama, linear rope": {
    ...llama,
    rope_scaling: { type: "linear", factor: 2 },
  },
  "mistral, sliding window": {
    ...llama,
    model_type: "mistral",
    sliding_window: 3,
  },
  gpt2,
  "gpt2, n_inner, scaled by layer, untied, relu": {
    ...gpt2,
    n_inner: 31,
    scale_attn_by_inverse_layer_idx: true,
    tie_word_embeddings: false,
    activation_function: "relu",
  },
  gpt_neox: gptNeox,
  "gpt_neox, sequential, no attention bias, tied": {
    ...gptNeox,
    use_parallel_residual: false,
    attention_bias: false,
    tie_word_embeddings: true,
    rotary_pct: 0.25,
    hidden_act: "gelu_fast",
  },
  mpt,
  "mpt, biases, clipped, own scale": {
    ...mpt,
    no_bias: false,
    attn_config: { clip_qkv: 0.5, softmax_scale: 0.3, alibi_bias_max: 4 },
  },
  "mpt, learned positions, untied": {
    ...mpt,
    attn_config: { alibi: false },
    tie_word_embeddings: false,
    logit_scale: "inv_sqrt_d_model",
  },
} satisfies Record<string, Record<string, unknown>>;

/**
 * Weights that leave nothing at its neutral value: norms away from 1, biases from
 * 0, and large enough that every part of the model matters.
 *
 * @param config config.json.
 * @param seed Equal seeds give equal weights.
 * @returns Weights by name.
 */
export function lively(
  config: Record<string, unknown>,
  seed = 1,
): Map<string, InitialWeight> {
  const weights = initialWeights({ ...config, initializer_range: 0.3 }, seed);
  for (const { data, shape } of weights.values()) {
    if (shape.length > 1) continue;
    data.forEach((value, i) => data[i] = value + 0.3 * Math.sin(7 * i + seed));
  }
  return weights;
}

/**
 * Weights as what sessions take.
 *
 * @param weights Weights by name.
 * @returns Tensors by name.
 */
export function weightTensors(
  weights: ReadonlyMap<string, InitialWeight>,
): Record<string, Tensor> {
  return Object.fromEntries(
    [...weights].map(([name, { shape, data }]) => [
      name,
      { type: "float32", dims: shape, data },
    ]),
  );
}

/**
 * An int64 tensor.
 *
 * @param dims Its shape.
 * @param entries Its entries.
 * @returns The tensor.
 */
export function int64(dims: number[], entries: ArrayLike<number>): Tensor {
  return {
    type: "int64",
    dims,
    data: BigInt64Array.from(Array.from(entries), BigInt),
  };
}

/**
 * A real tensor.
 *
 * @param dims Its shape.
 * @param entry Gives an entry by its index.
 * @returns The tensor, f32.
 */
export function real(
  dims: readonly number[],
  entry: (index: number) => number,
): Tensor {
  const length = dims.reduce((product, size) => product * size, 1);
  const data = Float32Array.from({ length }, (_, index) => entry(index));
  return { type: "float32", dims, data };
}

const DIMS = [2, 6];
const IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 8, 36];

/** Two rows of two documents and a padded end, with labels and padded teachers. */
export const TINY_BATCH = {
  /** Entries of a teacher. */
  topK: 3,
  /** Inputs of every training graph. */
  tokens: {
    input_ids: int64(DIMS, IDS),
    position: int64(DIMS, IDS.map((_, i) => i % 6 < 4 ? i % 6 : i % 6 - 4)),
    document: int64(DIMS, IDS.map((_, i) => i === 11 ? -1 : i % 6 < 4 ? 0 : 1)),
  },
  /** Inputs of a loss in the graph. */
  labels: {
    labels: int64(DIMS, IDS.map((_, i) => i % 6 < 5 ? IDS[i + 1]! : -100)),
    ce_weight: real(DIMS, (i) => i % 6 < 5 ? 0.1 : 0),
  },
  /** Inputs of distillation. */
  fused: {
    fused_ids: int64([...DIMS, 3], IDS.flatMap((id) => [id, (id + 7) % 37, 0])),
    fused_probs: real([...DIMS, 3], (i) => [0.6, 0.3, 0][i % 3]!),
    fused_residual: real(DIMS, () => 0.1),
    fused_weight: real(DIMS, (i) => i % 2 ? 0.07 : 0),
  },
};

/** Runs the logits of a model whose weights are in memory. */
export interface TinyModel extends AsyncDisposable {
  /** Logits `[B, T, V]` of `[B, T]` ids, positions and documents counted from 0 by default. */
  logits(
    ids: readonly number[],
    length: number,
    packing?: { position: readonly number[]; document: readonly number[] },
  ): Promise<Float32Array>;
}

/**
 * Open a model whose weights are in memory.
 *
 * @param config config.json.
 * @param weights Its weights.
 * @returns The model, to be disposed of by the caller.
 */
export async function openTiny(
  config: Record<string, unknown>,
  weights: ReadonlyMap<string, InitialWeight> = lively(config),
): Promise<TinyModel> {
  const { bytes } = trainingModel(config, weights, {
    loss: "external",
    backward: false,
  });
  const session: Session = await createSession(bytes);
  return {
    async logits(ids, length, packing) {
      const dims = [ids.length / length, length];
      const { logits } = await session.run({
        ...weightTensors(weights),
        input_ids: int64(dims, ids),
        position: int64(
          dims,
          packing?.position ?? ids.map((_, i) => i % length),
        ),
        document: int64(dims, packing?.document ?? ids.map(() => 0)),
      });
      return logits!.data as Float32Array;
    },
    [Symbol.asyncDispose]: () => session.close(),
  };
}
