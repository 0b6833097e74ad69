import { learnMerges } from "./bpe_merges.ts";

/** How a tokenizer is trained. */
export interface TrainerOptions {
  /** `byte-level` as GPT-2's, or `sentencepiece` as Llama-2's. */
  kind: "byte-level" | "sentencepiece";
  /** Size of the vocabulary, special tokens and bytes included. */
  vocabSize: number;
  /** How byte-level text is cut into words. Defaults to `gpt2`. */
  words?: keyof typeof WORD_PATTERNS;
  /** Characters rarer than this share are left to byte fallback. Defaults to 5e-5. */
  rareShare?: number;
}

/** The two files of a trained tokenizer. */
export interface TrainedTokenizer {
  /** The content of tokenizer.json. */
  tokenizer: {
    model: { vocab: Record<string, number>; merges: string[] };
    [key: string]: unknown;
  };
  /** The content of tokenizer_config.json. */
  config: Record<string, unknown>;
}

/** What GPT-2 and Llama-3 take for a word. */
export const WORD_PATTERNS = {
  gpt2: String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+` +
    String.raw`| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  llama3: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+` +
    String.raw`|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+` +
    String.raw`|\s+(?!\S)|\s+`,
} as const;

/** Words of a SentencePiece vocabulary: no piece mixes letters with signs. */
const SENTENCEPIECE_WORDS =
  /▁+(?=▁)|▁?\p{L}[\p{L}\p{M}]*|▁?\p{N}|▁?[^\s\p{L}\p{N}▁]+|▁|\n+|\s/gu;

const END_OF_TEXT = "<|endoftext|>";

/**
 * Train a BPE tokenizer on text.
 *
 * The same texts in the same order give the same tokenizer, byte for byte.
 *
 * @param texts The documents.
 * @param options Kind and size.
 * @returns The two files, for {@linkcode saveTokenizer}.
 * @throws {RangeError} If the vocabulary has no room for its first symbols.
 */
export function trainTokenizer(
  texts: Iterable<string>,
  options: TrainerOptions,
): TrainedTokenizer {
  return options.kind === "byte-level"
    ? trainByteLevel(texts, options)
    : trainSentencePiece(texts, options);
}

/**
 * Write tokenizer.json and tokenizer_config.json.
 *
 * @param directory Where to; made if it is not there.
 * @param trained What {@linkcode trainTokenizer} returned.
 */
export async function saveTokenizer(
  directory: string,
  trained: TrainedTokenizer,
): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  for (
    const [name, content] of [
      ["tokenizer.json", trained.tokenizer],
      ["tokenizer_config.json", trained.config],
    ] as const
  ) {
    const text = JSON.stringify(content, null, 1) + "\n";
    await Deno.writeTextFile(`${directory}/${name}`, text);
  }
}

function trainByteLevel(
  texts: Iterable<string>,
  { vocabSize, words = "gpt2" }: TrainerOptions,
): TrainedTokenizer {
  const alphabet = byteAlphabet();
  const pattern = new RegExp(WORD_PATTERNS[words], "gu");
  const counts = new Map<string, number>();
  const encoder = new TextEncoder();
  for (const [word, count] of countWords(texts, pattern)) {
    const bytes = encoder.encode(word);
    counts.set(Array.from(bytes, (byte) => alphabet[byte]).join(""), count);
  }
  const first = [END_OF_TEXT, ...[...alphabet].sort()];
  const model = trainModel(counts, first, vocabSize);
  const byteLevel = { type: "ByteLevel", add_prefix_space: false };
  return {
    tokenizer: {
      ...header([END_OF_TEXT]),
      normalizer: null,
      pre_tokenizer: words === "gpt2"
        ? { ...byteLevel, trim_offsets: true, use_regex: true }
        : {
          type: "Sequence",
          pretokenizers: [
            {
              type: "Split",
              pattern: { Regex: WORD_PATTERNS[words] },
              behavior: "Isolated",
              invert: false,
            },
            { ...byteLevel, trim_offsets: true, use_regex: false },
          ],
        },
      post_processor: null,
      decoder: { ...byteLevel, trim_offsets: true, use_regex: true },
      model: { ...modelHeader(null, false), ...model },
    },
    config: {
      tokenizer_class: "PreTrainedTokenizerFast",
      bos_token: END_OF_TEXT,
      eos_token: END_OF_TEXT,
      unk_token: END_OF_TEXT,
      clean_up_tokenization_spaces: false,
      model_max_length: 1e30,
    },
  };
}

function trainSentencePiece(
  texts: Iterable<string>,
  { vocabSize, rareShare = 5e-5 }: TrainerOptions,
): TrainedTokenizer {
  const words = countWords(
    texts,
    SENTENCEPIECE_WORDS,
    (text) => "▁" + text.replaceAll(" ", "▁"),
  );
  const characters = new Map<string, number>();
  let total = 0;
  for (const [word, count] of words) {
    for (const character of word) {
      characters.set(character, (characters.get(character) ?? 0) + count);
      total += count;
    }
  }
  const common = [...characters]
    .filter(([, count]) => count >= rareShare * total)
    .map(([character]) => character)
    .sort();
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  const specials = ["<unk>", "<s>", "</s>"];
  const model = trainModel(
    words,
    [...specials, ...bytes, ...common],
    vocabSize,
  );
  return {
    tokenizer: {
      ...header(specials),
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "Prepend", prepend: "▁" },
          { type: "Replace", pattern: { String: " " }, content: "▁" },
        ],
      },
      pre_tokenizer: null,
      post_processor: {
        type: "TemplateProcessing",
        single: template(["<s>", "A"]),
        pair: template(["<s>", "A", "<s>", "B"]),
        special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
      },
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: "▁" }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          { type: "Strip", content: " ", start: 1, stop: 0 },
        ],
      },
      model: { ...modelHeader("<unk>", true), ...model },
    },
    config: {
      tokenizer_class: "LlamaTokenizerFast",
      add_bos_token: true,
      add_eos_token: false,
      bos_token: "<s>",
      eos_token: "</s>",
      unk_token: "<unk>",
      clean_up_tokenization_spaces: false,
      legacy: true,
      model_max_length: 1e30,
    },
  };
}

function countWords(
  texts: Iterable<string>,
  pattern: RegExp,
  normalize = (text: string) => text,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of normalize(text.toWellFormed()).match(pattern) ?? []) {
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return counts;
}

/** Learns merges over words of symbols that are characters of `first`. */
function trainModel(
  counts: ReadonlyMap<string, number>,
  first: readonly string[],
  vocabSize: number,
): { vocab: Record<string, number>; merges: string[] } {
  if (first.length > vocabSize) {
    throw new RangeError(
      `Cannot train a tokenizer of ${vocabSize} tokens: its special tokens, ` +
        `bytes and characters are ${first.length}, expected at most as many`,
    );
  }
  const tokens = [...first];
  const ids = new Map(first.map((token, id) => [token, id]));
  // A character that has no id stands as a wall between the merges.
  const wall = vocabSize;
  const sorted = [...counts].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
  const merges = learnMerges({
    words: sorted.map(([word]) =>
      Uint32Array.from([...word].map((symbol) => ids.get(symbol) ?? wall))
    ),
    counts: sorted.map(([, count]) => count),
    symbols: first.length,
    merges: vocabSize - first.length,
    mayMerge: (left, right) => left !== wall && right !== wall,
  });
  for (const [left, right] of merges) {
    tokens.push(tokens[left]! + tokens[right]!);
  }
  return {
    // Two pairs may spell the same token: it has one id.
    vocab: Object.fromEntries(
      [...new Set(tokens)].map((token, id) => [token, id]),
    ),
    merges: merges.map(([left, right]) => `${tokens[left]} ${tokens[right]}`),
  };
}

function header(specials: readonly string[]): Record<string, unknown> {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
  };
}

function modelHeader(
  unk: string | null,
  byteFallback: boolean,
): Record<string, unknown> {
  return {
    type: "BPE",
    dropout: null,
    unk_token: unk,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: byteFallback,
    byte_fallback: byteFallback,
    ignore_merges: false,
  };
}

function template(parts: readonly string[]): Record<string, unknown>[] {
  return parts.map((id, at) => {
    const value = { id, type_id: at < 2 ? 0 : 1 };
    return id.length > 1 ? { SpecialToken: value } : { Sequence: value };
  });
}

/** GPT-2's printable stand-in for every byte. */
function byteAlphabet(): string[] {
  const isPrintable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from(
    { length: 256 },
    (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++),
  );
}
