import {
  add,
  clip,
  gelu,
  gemm,
  mul,
  neg,
  reshape,
  split,
  type Value,
} from "#/onnx/mod.ts";
import { Config } from "./config.ts";
import type { Architecture, Description } from "./description.ts";
import { attention, embedding, linear, normalize } from "./layers.ts";
import type { Tile } from "./tiles.ts";
import type { Trace } from "./trace.ts";

/**
 * MPT: linear biases instead of positions (ALiBi), tied embeddings, as a rule no
 * bias anywhere.
 *
 * @see MosaicML 2023, {@link https://github.com/mosaicml/llm-foundry}; Press et al.
 * 2022, arXiv:2108.12409.
 */
export const mpt: Architecture = {
  prefix: "transformer.",
  ignored: /attn_bias$|^lm_head\.weight$/,
  describe: describeMpt,
};

function describeMpt(config: Config): Description {
  const attn = config.section("attn_config") ?? new Config({}, "attn_config.");
  refuseVariants(config, attn);
  const hiddenSize = config.size("d_model", 2048);
  const heads = config.size("n_heads", 16);
  const inner = config.number("expansion_ratio", 4) * hiddenSize;
  const vocabSize = config.size("vocab_size");
  const contextLength = config.size("max_seq_len", 2048);
  const bias = !config.boolean("no_bias", true);
  const isTied = config.boolean("tie_word_embeddings", true);
  if (hiddenSize % heads !== 0) {
    throw config.error("n_heads", `a divisor of d_model ${hiddenSize}`);
  }
  if (!Number.isInteger(inner)) {
    throw config.error("expansion_ratio", `whole features of ${hiddenSize}`);
  }
  const headDim = hiddenSize / heads;
  const scale = attn.number("softmax_scale", headDim ** -0.5);
  const clipQkv = attn.number("clip_qkv", 0);
  const hasAlibi = attn.boolean("alibi", true);
  const slopes = alibiSlopes(heads, attn.number("alibi_bias_max", 8));
  const hasPositions = !hasAlibi && config.boolean("learned_pos_emb", true);
  const logitScale = readLogitScale(config, hiddenSize);
  const norm = {
    size: hiddenSize,
    epsilon: config.number("layer_norm_epsilon", 1e-5),
    bias,
  };

  function attend(trace: Trace, x: Value, layer: number): Value {
    const name = `transformer.blocks.${layer}.attn`;
    const fused = linear(trace, x, `${name}.Wqkv`, {
      size: [hiddenSize, 3 * hiddenSize],
      bias,
    });
    const clipped = clipQkv ? clip(fused, -clipQkv, clipQkv) : fused;
    const sizes = [hiddenSize, hiddenSize, hiddenSize];
    const [queries, keys, values] = split(clipped, 1, sizes);
    const mixed = attention(trace, queries!, {
      keys: keys!,
      values: values!,
    }, {
      layer,
      heads,
      kvHeads: heads,
      headDim,
      scale,
      bias: (tile) =>
        hasAlibi ? alibiMask(trace, slopes, tile) : trace.mask(tile),
    });
    return linear(trace, mixed, `${name}.out_proj`, {
      size: [hiddenSize, hiddenSize],
      bias,
      kind: "residual",
    });
  }

  return {
    vocabSize,
    contextLength,
    layers: config.size("n_layers", 24),
    kvHeads: heads,
    headDim,
    hiddenSize,
    initializerRange: config.number("initializer_range", 0.02),

    embed(trace) {
      const table = (name: string, rows: number, ids: Value) =>
        embedding(trace, `transformer.${name}.weight`, [rows, hiddenSize], ids);
      const tokens = table("wte", vocabSize, trace.ids);
      if (!hasPositions) return tokens;
      const positions = reshape(trace.positions, ["N"]);
      return add(tokens, table("wpe", contextLength, positions));
    },

    block(trace, x, layer) {
      const name = `transformer.blocks.${layer}`;
      const h = normalize(trace, x, `${name}.norm_1`, norm);
      const y = add(x, attend(trace, h, layer));
      const g = normalize(trace, y, `${name}.norm_2`, norm);
      const wide = linear(trace, g, `${name}.ffn.up_proj`, {
        size: [hiddenSize, inner],
        bias,
      });
      const narrow = linear(
        trace,
        gelu(wide, "none"),
        `${name}.ffn.down_proj`,
        { size: [inner, hiddenSize], bias, kind: "residual" },
      );
      return add(y, narrow);
    },

    logits(trace, x) {
      const head = isTied ? "transformer.wte.weight" : "lm_head.weight";
      const h = normalize(trace, x, "transformer.norm_f", norm);
      return gemm(h, trace.weight(head, [vocabSize, hiddenSize]), {
        transB: true,
        alpha: logitScale,
      });
    },
  };
}

function refuseVariants(config: Config, attn: Config): void {
  config.refuse("hidden_act", "gelu");
  config.refuse("embedding_fraction", 1);
  config.refuse("norm_type", "layernorm", "low_precision_layernorm");
  attn.refuse("attn_type", "multihead_attention");
  attn.refuse("prefix_lm", false);
  attn.refuse("qk_ln", false);
  attn.refuse("qk_gn", false);
  attn.refuse("rope", false);
  attn.refuse("attn_uses_sequence_id", false);
  attn.refuse("sliding_window_size", -1);
  const ffn = config.section("ffn_config");
  ffn?.refuse("ffn_type", "mptmlp");
}

/** A factor of the logits: a number, or 1 / √D by name. */
function readLogitScale(config: Config, hiddenSize: number): number {
  return config.fields.logit_scale === "inv_sqrt_d_model"
    ? hiddenSize ** -0.5
    : config.number("logit_scale", 1);
}

/**
 * Slopes of ALiBi's biases: 2^(−max · i / H) for a power of two H; else those of
 * the next power, every second one first.
 *
 * @param heads H.
 * @param max The exponent that the last head has.
 * @returns One slope a head.
 */
export function alibiSlopes(heads: number, max: number): number[] {
  const power = 2 ** Math.ceil(Math.log2(heads));
  const slopes = Array.from(
    { length: power },
    (_, i) => 2 ** (-(i + 1) * max / power),
  );
  if (power === heads) return slopes;
  const odd = slopes.filter((_, i) => i % 2 === 1);
  const even = slopes.filter((_, i) => i % 2 === 0);
  return [...odd, ...even].slice(0, heads);
}

/** The mask less slope · distance, f32 `[…, H, 1, t, s]`. */
function alibiMask(
  trace: Trace,
  slopes: readonly number[],
  tile: Tile,
): Value {
  return trace.tape.once(`alibi ${tile.index}`, () => {
    const shape = [1, slopes.length, 1, 1, 1];
    const column = trace.tape.constant("float32", shape, slopes);
    return add(neg(mul(column, trace.distance(tile))), trace.mask(tile));
  });
}
