import { join } from "node:path";
import { loadTokenizer, type Tokenizer } from "#/tokenizers/mod.ts";
import { saveTokenizer, trainTokenizer } from "#/tools/bpe_trainer.ts";

const WORDS = "the whale swam far from our ship and the sea was calm".split(
  " ",
);

/**
 * Text of a small language, in lines that are all different.
 *
 * @param first Which line it begins with.
 * @param lines How many there are.
 * @returns The text.
 */
export function tinyText(first: number, lines: number): string {
  return Array.from(
    { length: lines },
    (_, line) =>
      Array.from(
        { length: 9 },
        (_, i) => WORDS[((first + line) * (i + 3) + i * i) % WORDS.length],
      ).join(" "),
  )
    .join(".\n");
}

/**
 * Make a model directory without weights: a tokenizer of the small language
 * and the config of a Llama with ten thousand parameters.
 *
 * @param directory Where to.
 * @param change Fields of config.json that are to differ.
 * @returns Its tokenizer.
 */
export async function makeTinyModel(
  directory: string,
  change: Record<string, unknown> = {},
): Promise<Tokenizer> {
  const options = { kind: "byte-level", vocabSize: 288 } as const;
  await saveTokenizer(directory, trainTokenizer([tinyText(0, 120)], options));
  const tokenizer = await loadTokenizer(directory);
  const config = {
    model_type: "llama",
    hidden_size: 16,
    intermediate_size: 32,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    num_hidden_layers: 2,
    vocab_size: tokenizer.vocabSize,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    ...change,
  };
  const file = join(directory, "config.json");
  await Deno.writeTextFile(file, JSON.stringify(config));
  return tokenizer;
}
