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
  rotate,
} from "./layers.ts";
import { ropeBase, ropeFrequencies } from "./rope.ts";
import type { Trace } from "./trace.ts";

/**
 * GPT-NeoX, Pythia: attention and feed-forward network side by side, rotary
 * positions on the first features of a head, queries, keys and values interleaved
 * by head.
 *
 * @see Black et al. 2022, arXiv:2204.06745.
 */
export const gptNeox: Architecture = {
  prefix: "gpt_neox.",
  ignored:
    /attention\.(bias|masked_bias|rotary_emb\.inv_freq)$|^embed_out\.weight$/,
  describe: describeGptNeox,
};

function describeGptNeox(config: Config): Description {
  const hiddenSize = config.size("hidden_size");
  const heads = config.size("num_attention_heads");
  const inner = config.size("intermediate_size");
  const vocabSize = config.size("vocab_size");
  const activation = config.word("hidden_act", ACTIVATION_NAMES, "gelu");
  const attentionBias = config.boolean("attention_bias", true);
  const isParallel = config.boolean("use_parallel_residual", true);
  const isTied = config.boolean("tie_word_embeddings", false);
  if (hiddenSize % heads !== 0) {
    throw config.error(
      "num_attention_heads",
      `a divisor of hidden_size ${hiddenSize}`,
    );
  }
  const headDim = hiddenSize / heads;
  const turned = Math.floor(headDim * rotaryShare(config));
  const base = ropeBase(config, "rotary_emb_base");
  const frequencies = ropeFrequencies(config, turned, base);
  const norm = {
    size: hiddenSize,
    epsilon: config.number("layer_norm_eps", 1e-5),
    bias: true,
  };

  function attend(trace: Trace, x: Value, layer: number): Value {
    const name = `gpt_neox.layers.${layer}.attention`;
    const fused = linear(trace, x, `${name}.query_key_value`, {
      size: [hiddenSize, 3 * hiddenSize],
      bias: attentionBias,
    });
    const byHead = reshape(fused, ["N", heads, 3, headDim]);
    const [queries, keys, values] = split(byHead, 2, [1, 1, 1])
      .map((part) => reshape(part, ["N", hiddenSize]));
    const turn = (x: Value) =>
      turned ? rotate(trace, x, heads, frequencies) : x;
    const mixed = attention(trace, turn(queries!), {
      keys: turn(keys!),
      values: values!,
    }, {
      layer,
      heads,
      kvHeads: heads,
      headDim,
      scale: headDim ** -0.5,
      bias: (tile) => trace.mask(tile),
    });
    return linear(trace, mixed, `${name}.dense`, {
      size: [hiddenSize, hiddenSize],
      bias: attentionBias,
      kind: "residual",
    });
  }

  function feed(trace: Trace, x: Value, layer: number): Value {
    const name = `gpt_neox.layers.${layer}.mlp`;
    const wide = linear(trace, x, `${name}.dense_h_to_4h`, {
      size: [hiddenSize, inner],
      bias: true,
    });
    return linear(
      trace,
      ACTIVATIONS[activation](wide),
      `${name}.dense_4h_to_h`,
      { size: [inner, hiddenSize], bias: true, kind: "residual" },
    );
  }

  return {
    vocabSize,
    contextLength: config.size("max_position_embeddings", 2048),
    layers: config.size("num_hidden_layers"),
    kvHeads: heads,
    headDim,
    hiddenSize,
    initializerRange: config.number("initializer_range", 0.02),

    embed: (trace) =>
      embedding(
        trace,
        "gpt_neox.embed_in.weight",
        [vocabSize, hiddenSize],
        trace.ids,
      ),

    block(trace, x, layer) {
      const name = `gpt_neox.layers.${layer}`;
      const h = normalize(trace, x, `${name}.input_layernorm`, norm);
      const y = add(x, attend(trace, h, layer));
      const input = isParallel ? x : y;
      const g = normalize(
        trace,
        input,
        `${name}.post_attention_layernorm`,
        norm,
      );
      return add(y, feed(trace, g, layer));
    },

    logits(trace, x) {
      const head = isTied ? "gpt_neox.embed_in.weight" : "embed_out.weight";
      const h = normalize(trace, x, "gpt_neox.final_layer_norm", norm);
      return gemm(h, trace.weight(head, [vocabSize, hiddenSize]), {
        transB: true,
      });
    },
  };
}

/** The share of a head's features that is turned, where older and newer files have it. */
function rotaryShare(config: Config): number {
  const parameters = config.section("rope_parameters");
  if (parameters && "partial_rotary_factor" in parameters.fields) {
    return parameters.number("partial_rotary_factor");
  }
  return "partial_rotary_factor" in config.fields
    ? config.number("partial_rotary_factor")
    : config.number("rotary_pct", 0.25);
}
