import { initialWeights, saveCheckpoint } from "#/models/mod.ts";
import type { Batch } from "#/stages/train/batches.ts";
import { release } from "#/stages/rpc.ts";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { blocks } from "#/bench/texts.ts";

/** Llamas of the demo's size with 8,192 tokens, and of two sizes with 32,000. */
export const LLAMAS = {
  "1.8 M": llama({
    vocab: 8192,
    hidden: 128,
    inner: 344,
    layers: 4,
    heads: 4,
    groups: 2,
  }),
  "11 M": llama({
    vocab: 32_000,
    hidden: 256,
    inner: 704,
    layers: 4,
    heads: 8,
    groups: 4,
  }),
  "168 M": llama({
    vocab: 32_000,
    hidden: 1024,
    inner: 2816,
    layers: 12,
    heads: 16,
    groups: 4,
  }),
} as const;

function llama({ vocab, hidden, inner, layers, heads, groups }: {
  vocab: number;
  hidden: number;
  inner: number;
  layers: number;
  heads: number;
  groups: number;
}) {
  return {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_act: "silu",
    hidden_size: hidden,
    intermediate_size: inner,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: groups,
    vocab_size: vocab,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
  };
}

/**
 * Write a model directory: drawn weights, and a real tokenizer of 32,000.
 *
 * @param directory Where to.
 * @param config Its config.json.
 */
export async function writeLlama(
  directory: string,
  config: Record<string, unknown>,
): Promise<void> {
  const weights = initialWeights(config, 1);
  await saveCheckpoint(directory, config, weights);
  // Not garbage of the bench's is to be measured.
  for (const weight of weights.values()) release(weight);
  const tokenizer = await realTokenizer("llama2");
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(`${tokenizer}/${file}`, `${directory}/${file}`);
  }
}

/**
 * Real text as a batch to train on, each row with a sparse teacher.
 *
 * @param batch B.
 * @param length T.
 * @param topK K.
 * @param lmWeight Weight λ of the label.
 * @param vocabSize V; tokens beyond it are folded into it.
 * @returns The batch.
 */
export async function sampleBatch(
  batch: number,
  length: number,
  topK: number,
  lmWeight: number,
  vocabSize: number,
): Promise<Batch> {
  const tokenizer = await loadTokenizer(await realTokenizer("llama2"));
  const [text] = await blocks(batch * length * 6, 1);
  const inputIds = tokenizer.encode(text!).ids.slice(0, batch * length)
    .map((id) => id % vocabSize);
  const isLast = (at: number) => at % length === length - 1;
  const rows = batch * (length - 1);
  const weights = (share: number) =>
    Float32Array.from(inputIds, (_, at) => isLast(at) ? 0 : share / rows);
  return {
    batch,
    length,
    inputIds: Int32Array.from(inputIds),
    position: Int32Array.from(inputIds, (_, at) => at % length),
    document: Int32Array.from(inputIds, (_, at) => Math.floor(at / length)),
    labels: Int32Array.from(
      inputIds,
      (_, at) => isLast(at) ? -100 : inputIds[at + 1]!,
    ),
    labelWeight: weights(lmWeight),
    fused: {
      topK,
      ids: Int32Array.from({ length: inputIds.length * topK }, (_, entry) => {
        const [at, k] = [Math.floor(entry / topK), entry % topK];
        return (inputIds[at]! * 7 + at + 911 * k) % vocabSize;
      }),
      probs: Float32Array.from(
        { length: inputIds.length * topK },
        (_, entry) => 0.45 * 0.5 ** (entry % topK),
      ),
      residual: new Float32Array(inputIds.length).fill(
        1 - 0.9 * (1 - 0.5 ** topK),
      ),
      weight: weights(1 - lmWeight),
    },
  };
}
