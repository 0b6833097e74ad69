import { add, gemm, reshape, split, type Value } from "#/onnx/mod.ts";
import type { Config } from "./config.ts";
import type { Architecture, Description } from "./description.ts";
import {
  ACTIVATION_NAMES,
  ACTIVATIONS,
  attention,
  embedding,
  linear,
  normalize,
} from "./layers.ts";
import type { Trace } from "./trace.ts";

/**
 * GPT-2: layer norms before each part, learned positions, biases everywhere, and
 * weights stored `[in, out]`.
 *
 * @see Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
 */
export const gpt2: Architecture = {
  prefix: "transformer.",
  ignored: /attn\.(bias|masked_bias)$|^lm_head\.weight$/,
  describe: describeGpt2,
};

function describeGpt2(config: Config): Description {
  config.refuse("add_cross_attention", false);
  const hiddenSize = config.size("n_embd", 768);
  const heads = config.size("n_head", 12);
  const inner = config.size("n_inner", 4 * hiddenSize);
  const vocabSize = config.size("vocab_size");
  const contextLength = config.size("n_positions", 1024);
  const activation = config.word(
    "activation_function",
    ACTIVATION_NAMES,
    "gelu_new",
  );
  const isScaled = config.boolean("scale_attn_weights", true);
  const byLayer = config.boolean("scale_attn_by_inverse_layer_idx", false);
  const isTied = config.boolean("tie_word_embeddings", true);
  if (hiddenSize % heads !== 0) {
    throw config.error("n_head", `a divisor of n_embd ${hiddenSize}`);
  }
  const headDim = hiddenSize / heads;
  const norm = {
    size: hiddenSize,
    epsilon: config.number("layer_norm_epsilon", 1e-5),
    bias: true,
  };
  const project = (
    trace: Trace,
    x: Value,
    name: string,
    size: [number, number],
  ) =>
    linear(trace, x, name, {
      size,
      bias: true,
      isTransposed: true,
      kind: name.endsWith("c_proj") ? "residual" : "normal",
    });

  return {
    vocabSize,
    contextLength,
    layers: config.size("n_layer", 12),
    kvHeads: heads,
    headDim,
    hiddenSize,
    initializerRange: config.number("initializer_range", 0.02),

    embed(trace) {
      const table = (name: string, rows: number, ids: Value) =>
        embedding(trace, `transformer.${name}.weight`, [rows, hiddenSize], ids);
      const positions = reshape(trace.positions, ["N"]);
      return add(
        table("wte", vocabSize, trace.ids),
        table("wpe", contextLength, positions),
      );
    },

    block(trace, x, layer) {
      const name = `transformer.h.${layer}`;
      const h = normalize(trace, x, `${name}.ln_1`, norm);
      const fused = project(trace, h, `${name}.attn.c_attn`, [
        hiddenSize,
        3 * hiddenSize,
      ]);
      const sizes = [hiddenSize, hiddenSize, hiddenSize];
      const [queries, keys, values] = split(fused, 1, sizes);
      const scale = (isScaled ? headDim ** -0.5 : 1) /
        (byLayer ? layer + 1 : 1);
      const mixed = attention(trace, queries!, {
        keys: keys!,
        values: values!,
      }, {
        layer,
        heads,
        kvHeads: heads,
        headDim,
        scale,
        bias: (tile) => trace.mask(tile),
      });
      const square: [number, number] = [hiddenSize, hiddenSize];
      const y = add(x, project(trace, mixed, `${name}.attn.c_proj`, square));

      const g = normalize(trace, y, `${name}.ln_2`, norm);
      const wide = project(trace, g, `${name}.mlp.c_fc`, [hiddenSize, inner]);
      const active = ACTIVATIONS[activation](wide);
      const narrow: [number, number] = [inner, hiddenSize];
      return add(y, project(trace, active, `${name}.mlp.c_proj`, narrow));
    },

    logits(trace, x) {
      const head = isTied ? "transformer.wte.weight" : "lm_head.weight";
      const h = normalize(trace, x, "transformer.ln_f", norm);
      return gemm(h, trace.weight(head, [vocabSize, hiddenSize]), {
        transB: true,
      });
    },
  };
}
