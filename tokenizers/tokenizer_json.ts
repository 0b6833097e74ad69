/** One normalizer, pre-tokenizer, post-processor or decoder. */
export interface Component {
  type: string;
  [field: string]: unknown;
}

/** A token that stands beside the model's own vocabulary. */
export interface AddedToken {
  id: number;
  content: string;
  special?: boolean;
  [field: string]: unknown;
}

/** The model of a tokenizer.json, with its type made explicit. */
export interface ModelJson {
  type: "BPE" | "Unigram" | "WordPiece";
  /** A list of `[token, score]` if the type is `Unigram`. */
  vocab: Record<string, number> | [string, number][];
  merges?: (string | [string, string])[];
  unk_token?: string | null;
  unk_id?: number | null;
  byte_fallback?: boolean;
  continuing_subword_prefix?: string | null;
  end_of_word_suffix?: string | null;
  [field: string]: unknown;
}

/** What tokenizer.json holds, absent parts as null. */
export interface TokenizerJson {
  added_tokens: AddedToken[];
  normalizer: Component | null;
  pre_tokenizer: Component | null;
  post_processor: Component | null;
  decoder: Component | null;
  model: ModelJson;
}

/** A tokenizer's files, read and checked. */
export interface TokenizerFiles {
  /** Path of tokenizer.json. */
  file: string;
  json: TokenizerJson;
  /** tokenizer_config.json over special_tokens_map.json. */
  config: Record<string, unknown>;
  /** generation_config.json over config.json, where `config` names no token. */
  model: Record<string, unknown>;
}

const MODEL_TYPES = ["BPE", "Unigram", "WordPiece"] as const;
/** An id beyond this is a broken file, not a vocabulary. */
const MAX_ID = 2 ** 24;

/**
 * Read a directory's tokenizer.json and tokenizer_config.json.
 *
 * @param directory A Hugging Face model directory.
 * @returns The files' content, and what the model's files say of special tokens
 * where these do not; only tokenizer.json must be there.
 * @throws {Deno.errors.NotFound} If there is no tokenizer.json.
 * @throws {SyntaxError} If a file is not JSON.
 * @throws {TypeError} If the tokenizer is of a type that is not supported, or
 * a part of it is not what it should be.
 */
export async function readTokenizerFiles(
  directory: string,
): Promise<TokenizerFiles> {
  const file = `${directory}/tokenizer.json`;
  const content = await readJson(file);
  if (content === undefined) {
    throw new Deno.errors.NotFound(
      `Cannot load tokenizer ${file}: there is no such file, expected the ` +
        `tokenizer.json of a Hugging Face model directory (tokenizer.model ` +
        `and vocab.json alone are not enough)`,
    );
  }
  const config = {
    ...await readJson(`${directory}/special_tokens_map.json`),
    ...await readJson(`${directory}/tokenizer_config.json`),
  };
  const isSilent = !("bos_token" in config) && !("eos_token" in config);
  const model = isSilent
    ? {
      ...await readJson(`${directory}/config.json`),
      ...await readJson(`${directory}/generation_config.json`),
    }
    : {};
  return { file, json: checked(content, file), config, model };
}

/**
 * List a component and, if it is a sequence, all that are in it.
 *
 * @param component A part of tokenizer.json.
 * @returns The components that are not sequences, in order.
 */
export function flatten(component: Component | null): Component[] {
  if (!component) return [];
  if (component.type !== "Sequence") return [component];
  const parts = component.normalizers ?? component.pretokenizers ??
    component.decoders ?? component.processors ?? [];
  return (parts as Component[]).flatMap(flatten);
}

async function readJson(
  file: string,
): Promise<Record<string, unknown> | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    const value = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch (cause) {
    throw new SyntaxError(
      `Cannot load tokenizer ${file}: it is not JSON, expected an object`,
      { cause },
    );
  }
  throw new TypeError(
    `Cannot load tokenizer ${file}: it holds no object, expected one`,
  );
}

function checked(
  content: Record<string, unknown>,
  file: string,
): TokenizerJson {
  const { model, added_tokens: added = [] } = content;
  if (!isRecord(model) || !model.vocab || typeof model.vocab !== "object") {
    throw new TypeError(
      `Cannot load tokenizer ${file}: it has no model with a vocabulary, ` +
        `expected "model": {"type": …, "vocab": …}`,
    );
  }
  const type = modelType(model, file);
  if (Array.isArray(model.vocab) !== (type === "Unigram")) {
    throw new TypeError(
      `Cannot load tokenizer ${file}: the vocabulary of model type ${type} ` +
        `is ${Array.isArray(model.vocab) ? "a list" : "an object"}, ` +
        `expected ${type === "Unigram" ? "a list" : "an object"}`,
    );
  }
  if (type === "BPE" && !Array.isArray(model.merges)) {
    throw new TypeError(
      `Cannot load tokenizer ${file}: model type BPE has no merges, ` +
        `expected a list`,
    );
  }
  if (type === "BPE" && model.continuing_subword_prefix) {
    throw new TypeError(
      `Cannot load tokenizer ${file}: model type BPE has the ` +
        `continuing_subword_prefix "${model.continuing_subword_prefix}", ` +
        `expected none`,
    );
  }
  if (!Array.isArray(added ?? [])) {
    throw new TypeError(
      `Cannot load tokenizer ${file}: added_tokens is ` +
        `${JSON.stringify(added)}, expected a list`,
    );
  }
  const part = (name: string) => (content[name] ?? null) as Component | null;
  const json: TokenizerJson = {
    added_tokens: (added ?? []) as AddedToken[],
    normalizer: part("normalizer"),
    pre_tokenizer: part("pre_tokenizer"),
    post_processor: part("post_processor"),
    decoder: part("decoder"),
    model: { ...model, type } as ModelJson,
  };
  checkIds(json, file);
  return json;
}

/** Old files do not name the type: then the fields tell it. */
function modelType(
  model: Record<string, unknown>,
  file: string,
): ModelJson["type"] {
  const guess = Array.isArray(model.vocab)
    ? "Unigram"
    : model.merges
    ? "BPE"
    : "continuing_subword_prefix" in model
    ? "WordPiece"
    : undefined;
  const type = model.type ?? guess;
  const known = MODEL_TYPES.find((each) => each === type);
  if (known) return known;
  throw new TypeError(
    `Cannot load tokenizer ${file}: its model type is ${type}, ` +
      `expected one of ${MODEL_TYPES.join(", ")}`,
  );
}

function checkIds({ model, added_tokens }: TokenizerJson, file: string): void {
  const check = (token: unknown, id: unknown) => {
    const isId = Number.isInteger(id) && Number(id) >= 0 && Number(id) < MAX_ID;
    if (isId && typeof token === "string") return;
    throw new RangeError(
      `Cannot load tokenizer ${file}: token ${JSON.stringify(token)} has id ` +
        `${JSON.stringify(id)}, expected an integer from 0 to ${MAX_ID - 1}`,
    );
  };
  const { vocab } = model;
  if (Array.isArray(vocab)) vocab.forEach(([token], id) => check(token, id));
  else for (const token in vocab) check(token, vocab[token]);
  for (const { content, id } of added_tokens) check(content, id);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
