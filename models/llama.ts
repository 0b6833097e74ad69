import { add, gemm, mul, rmsNorm, type Value } from "#/onnx/mod.ts";
import type { Config } from "./config.ts";
import type { Architecture, Description } from "./description.ts";
import {
  ACTIVATION_NAMES,
  ACTIVATIONS,
  attention,
  embedding,
  linear,
  rotate,
} from "./layers.ts";
import { ropeBase, ropeFrequencies } from "./rope.ts";
import type { Trace } from "./trace.ts";

/**
 * Llama 1 to 3, OpenLLaMA, TinyLlama and their like: RMS norms, rotary positions,
 * grouped queries, a gated feed-forward network.
 *
 * @see Touvron et al. 2023, arXiv:2307.09288.
 */
export const llama: Architecture = {
  prefix: "model.",
  ignored: /rotary_emb\.inv_freq$|^lm_head\.weight$/,
  describe: (config) => describeLlama(config, {}),
};

/** Llama with a sliding window: Mistral 7B and its like. */
export const mistral: Architecture = {
  ...llama,
  describe(config) {
    const window = config.fields.sliding_window === null
      ? undefined
      : config.size("sliding_window", 4096);
    return describeLlama(config, { window, kvHeads: 8, context: 131072 });
  },
};

function describeLlama(
  config: Config,
  defaults: { window?: number | undefined; kvHeads?: number; context?: number },
): Description {
  const hiddenSize = config.size("hidden_size");
  const heads = config.size("num_attention_heads");
  // Null is one for each query head, where absence may mean another number.
  const kvHeads = config.fields.num_key_value_heads === null
    ? heads
    : config.size("num_key_value_heads", defaults.kvHeads ?? heads);
  const headDim = config.size("head_dim", Math.floor(hiddenSize / heads));
  const inner = config.size("intermediate_size");
  const vocabSize = config.size("vocab_size");
  const epsilon = config.number("rms_norm_eps", 1e-6);
  const activation = config.word("hidden_act", ACTIVATION_NAMES, "silu");
  const attentionBias = config.boolean("attention_bias", false);
  const mlpBias = config.boolean("mlp_bias", false);
  const isTied = config.boolean("tie_word_embeddings", false);
  if (heads % kvHeads !== 0) {
    throw config.error("num_key_value_heads", `a divisor of ${heads}`);
  }
  const turned = Math.floor(
    headDim * config.number("partial_rotary_factor", 1),
  );
  if (turned % 2 !== 0) {
    throw config.error("head_dim", "features that turn in pairs");
  }
  const base = ropeBase(config, "rope_theta");
  const frequencies = ropeFrequencies(config, turned, base);

  const norm = (trace: Trace, x: Value, name: string) =>
    rmsNorm(x, trace.weight(`${name}.weight`, [hiddenSize], "ones"), epsilon);

  return {
    vocabSize,
    contextLength: config.size(
      "max_position_embeddings",
      defaults.context ?? 2048,
    ),
    layers: config.size("num_hidden_layers"),
    kvHeads,
    headDim,
    hiddenSize,
    initializerRange: config.number("initializer_range", 0.02),

    embed: (trace) =>
      embedding(
        trace,
        "model.embed_tokens.weight",
        [vocabSize, hiddenSize],
        trace.ids,
      ),

    block(trace, x, layer) {
      const name = `model.layers.${layer}`;
      const project = (x: Value, part: string, size: [number, number]) =>
        linear(trace, x, `${name}.self_attn.${part}_proj`, {
          size,
          bias: attentionBias,
          kind: part === "o" ? "residual" : "normal",
        });
      const h = norm(trace, x, `${name}.input_layernorm`);
      const [q, k, v] = [["q", heads], ["k", kvHeads], ["v", kvHeads]].map(
        ([part, count]) =>
          project(h, part as string, [hiddenSize, Number(count) * headDim]),
      );
      const attended = attention(trace, rotate(trace, q!, heads, frequencies), {
        keys: rotate(trace, k!, kvHeads, frequencies),
        values: v!,
      }, {
        layer,
        heads,
        kvHeads,
        headDim,
        scale: headDim ** -0.5,
        bias: (tile) => trace.mask(tile, defaults.window),
      });
      const y = add(x, project(attended, "o", [heads * headDim, hiddenSize]));

      const feed = (x: Value, part: string, size: [number, number]) =>
        linear(trace, x, `${name}.mlp.${part}_proj`, {
          size,
          bias: mlpBias,
          kind: part === "down" ? "residual" : "normal",
        });
      const g = norm(trace, y, `${name}.post_attention_layernorm`);
      const gate = ACTIVATIONS[activation](
        feed(g, "gate", [hiddenSize, inner]),
      );
      const up = feed(g, "up", [hiddenSize, inner]);
      return add(y, feed(mul(gate, up), "down", [inner, hiddenSize]));
    },

    logits(trace, x) {
      const head = isTied ? "model.embed_tokens.weight" : "lm_head.weight";
      const weight = trace.weight(head, [vocabSize, hiddenSize]);
      return gemm(norm(trace, x, "model.norm"), weight, { transB: true });
    },
  };
}
