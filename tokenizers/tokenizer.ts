import { BPE, Tokenizer as Encoder, Unigram } from "@huggingface/tokenizers";
import { alignEnds } from "./byte_alignment.ts";
import { forPlainText } from "./plain_text.ts";
import { specialIds, specialRoles } from "./special_tokens.ts";
import type { SpecialRoles } from "./special_tokens.ts";
import { UnigramUnknowns } from "./unigram_unknowns.ts";
import type { Piece } from "./unigram_unknowns.ts";
import { spaceSymbol, tokenBytes } from "./token_bytes.ts";
import { flatten, readTokenizerFiles } from "./tokenizer_json.ts";
import type { TokenizerFiles, TokenizerJson } from "./tokenizer_json.ts";
import { WordCache } from "./word_cache.ts";

/** A text as tokens. */
export interface Encoding {
  /** The tokens, `[T]`. */
  ids: Int32Array;
  /**
   * Byte offset in the text's UTF-8 after each token, `[T]`. Monotone; the last
   * is the text's length. May lie inside a code point.
   */
  byteEnds: Int32Array;
}

/** A tokenizer of Hugging Face's tokenizer.json. */
export interface Tokenizer {
  /** Where it was loaded from. */
  readonly directory: string;
  /** The highest id + 1. A model's logits may be wider: padded. */
  readonly vocabSize: number;
  /** Token string of every id as in tokenizer.json, `""` for holes. */
  readonly tokens: readonly string[];
  /** The bytes that every id stands for, none for special tokens and holes. */
  readonly tokenBytes: readonly Uint8Array[];
  /** The special tokens by role. */
  readonly special: SpecialRoles;
  /** All special tokens. */
  readonly specialIds: ReadonlySet<number>;
  /** Whether a text's first token may begin with a space that is not in the text. */
  readonly prefixSpace: boolean;
  /**
   * Whether the tokenizer may change a text: Unicode normalization, lower case.
   * (A SentencePiece tokenizer also reads `▁` as a space, which is not counted
   * here.) `byteEnds` refer to the text as it was given nevertheless.
   */
  readonly normalizes: boolean;
  /**
   * Encode a text, without BOS or EOS. The spelling of a special token is plain
   * text, never a control token; a lone surrogate is U+FFFD, as in UTF-8.
   */
  encode(text: string): Encoding;
  /** Decode tokens to text. Special tokens are skipped. */
  decode(ids: ArrayLike<number>): string;
}

/**
 * Load a tokenizer.
 *
 * @param directory A directory with tokenizer.json and, if special tokens are
 * to be known by role, tokenizer_config.json or special_tokens_map.json.
 * @returns The tokenizer.
 * @throws {Deno.errors.NotFound} If there is no tokenizer.json.
 * @throws {SyntaxError} If a file is not JSON.
 * @throws {TypeError} If the tokenizer is of an unsupported type.
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const files = await readTokenizerFiles(directory);
  return new JsonTokenizer(directory, files, true);
}

/**
 * Load a tokenizer that is only asked about its tokens: without its encoder,
 * which takes most of a tokenizer's memory and half of the time to load it.
 *
 * @param directory As for {@linkcode loadTokenizer}.
 * @returns The tokenizer; `encode()` and `decode()` throw a `TypeError`.
 * @throws {Error} What {@linkcode loadTokenizer} throws.
 */
export async function loadVocabulary(directory: string): Promise<Tokenizer> {
  const files = await readTokenizerFiles(directory);
  return new JsonTokenizer(directory, files, false);
}

/**
 * The id that a sequence starts with.
 *
 * @param tokenizer A tokenizer.
 * @returns BOS, else EOS, else undefined.
 */
export function startId(tokenizer: Tokenizer): number | undefined {
  return tokenizer.special.bos ?? tokenizer.special.eos;
}

/**
 * The content hash of a directory's tokenizer.
 *
 * @param directory Where tokenizer.json lies.
 * @returns The SHA-256 of tokenizer.json, in hexadecimal.
 */
export async function tokenizerHash(directory: string): Promise<string> {
  const bytes = await Deno.readFile(`${directory}/tokenizer.json`);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

class JsonTokenizer implements Tokenizer {
  readonly directory: string;
  readonly vocabSize: number;
  readonly tokens: readonly string[];
  readonly tokenBytes: readonly Uint8Array[];
  readonly special: SpecialRoles;
  readonly specialIds: ReadonlySet<number>;
  readonly prefixSpace: boolean;
  readonly normalizes: boolean;
  readonly #encoder: Encoder | undefined;
  readonly #prefix: Prefix;
  readonly #unigram: UnigramUnknowns | undefined;
  readonly #isWordPiece: boolean;

  constructor(directory: string, files: TokenizerFiles, encodes: boolean) {
    const { json } = files;
    this.directory = directory;
    this.tokens = tokenStrings(json);
    this.vocabSize = this.tokens.length;
    this.special = specialRoles(files, this.tokens);
    this.specialIds = specialIds(files, this.special);
    this.tokenBytes = tokenBytes(json, this.tokens, this.specialIds);
    this.#prefix = prefixOf(json);
    this.prefixSpace = this.#prefix !== "never";
    this.#isWordPiece = json.model.type === "WordPiece";
    this.normalizes = this.#isWordPiece || changesText(json);
    if (!encodes) return;
    this.#unigram = json.model.type === "Unigram"
      ? new UnigramUnknowns(json, this.tokens)
      : undefined;
    this.#encoder = createEncoder(files, this.specialIds);
  }

  encode(text: string): Encoding {
    const wellFormed = text.toWellFormed();
    const utf8 = new TextEncoder().encode(wellFormed);
    const pieces = this.#encode(wellFormed);
    const { bytes, ends } = concatenate(pieces.map(({ bytes }) => bytes));
    const virtual = this.#virtualPrefix(bytes, wellFormed);
    const isUnknown = (token: number) => pieces[token]!.bytes.length === 0;
    const byteEnds = alignEnds({
      bytes: bytes.subarray(virtual),
      ends: virtual ? ends.map((end) => Math.max(0, end - virtual)) : ends,
      isUnknown,
    }, utf8);
    return { ids: Int32Array.from(pieces, ({ id }) => id), byteEnds };
  }

  decode(ids: ArrayLike<number>): string {
    const kept = Array.from(ids).filter((id) => !this.specialIds.has(id));
    if (kept.length === 0) return "";
    if (this.#isWordPiece) {
      return this.#loadedEncoder.decode(kept, {
        clean_up_tokenization_spaces: false,
      });
    }
    const { bytes } = concatenate(
      kept.map((id) => this.tokenBytes[id] ?? NO_BYTES),
    );
    const skip = this.prefixSpace && bytes[0] === SPACE ? 1 : 0;
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return decoder.decode(bytes.subarray(skip));
  }

  get #loadedEncoder(): Encoder {
    if (this.#encoder) return this.#encoder;
    throw new TypeError(
      `Cannot encode or decode by ${this.directory}: it was loaded without ` +
        `its encoder, expected loadTokenizer()`,
    );
  }

  #encode(text: string): Piece[] {
    const { ids, tokens } = this.#loadedEncoder.encode(text, {
      add_special_tokens: false,
    });
    const pieces = ids.map((id) => ({
      id,
      bytes: this.tokenBytes[id] ?? NO_BYTES,
    }));
    return this.#unigram ? this.#unigram.spelled(pieces, tokens) : pieces;
  }

  /** How many of the first emitted bytes are a space that the text has not. */
  #virtualPrefix(bytes: Uint8Array, text: string): 0 | 1 {
    if (bytes[0] !== SPACE || this.#prefix === "never") return 0;
    return this.#prefix === "always" || !/^[ ▁]/.test(text) ? 1 : 0;
  }
}

const SPACE = 0x20;
const NO_BYTES = new Uint8Array(0);
/** A novel has about as many different ones. */
const CACHED_WORDS = 2 ** 15;

/** When a space is put before a text: if it does not begin with one, `missing`. */
type Prefix = "always" | "missing" | "never";

function prefixOf(json: TokenizerJson): Prefix {
  const space = spaceSymbol(json);
  for (const { type, prepend } of flatten(json.normalizer)) {
    if (type === "Prepend" && prepend === space) return "always";
  }
  for (const part of flatten(json.pre_tokenizer)) {
    const scheme = part.prepend_scheme ??
      (part.add_prefix_space === false ? "never" : "always");
    if (part.type === "Metaspace" && scheme !== "never") return "missing";
    if (part.type === "ByteLevel" && part.add_prefix_space) return "missing";
  }
  return "never";
}

/** Whether a normalizer does more than write spaces as `▁`. */
function changesText(json: TokenizerJson): boolean {
  const space = spaceSymbol(json);
  return flatten(json.normalizer).some(
    ({ type, pattern, prepend, content }) => {
      const replaced = (pattern as { String?: string } | undefined)?.String;
      const isSpace = (type === "Prepend" && prepend === space) ||
        (type === "Replace" && replaced === " " && content === space);
      return !isSpace;
    },
  );
}

function tokenStrings({ model, added_tokens }: TokenizerJson): string[] {
  const tokens: string[] = [];
  const { vocab } = model;
  if (Array.isArray(vocab)) vocab.forEach(([token], id) => tokens[id] = token);
  else for (const token in vocab) tokens[vocab[token]!] = token;
  for (const { content, id } of added_tokens) tokens[id] = content;
  return Array.from(tokens, (token) => token ?? "");
}

function createEncoder(
  { file, json }: TokenizerFiles,
  special: ReadonlySet<number>,
): Encoder {
  try {
    // An empty config: what it says is in tokenizer.json, too.
    const plain = forPlainText(json, special);
    const encoder = new Encoder(plain, {});
    const { model } = encoder;
    if (model instanceof Unigram) {
      // What the library does takes time in the square of a run of unknowns
      // (UnigramUnknowns does it) and, next, more arguments than there may be.
      model.fuse_unk = false;
      model.encode = (pieces: string[]) =>
        pieces.flatMap((piece) => model.tokenize(piece));
    }
    if (model instanceof BPE) {
      const words = new WordCache<string[]>(CACHED_WORDS);
      model.cache = words as unknown as typeof model.cache;
      // It has made maps of them, and would hold them all the same.
      Object.assign(plain.model, { vocab: {}, merges: [] });
      model.merges = [];
    }
    return encoder;
  } catch (cause) {
    throw new TypeError(
      `Cannot load tokenizer ${file}: a part of it is not supported, ` +
        `expected the types of @huggingface/tokenizers`,
      { cause },
    );
  }
}

function concatenate(
  pieces: readonly Uint8Array[],
): { bytes: Uint8Array; ends: Int32Array } {
  let length = 0;
  const ends = new Int32Array(pieces.length);
  for (let at = 0; at < pieces.length; at++) {
    ends[at] = length += pieces[at]!.length;
  }
  const bytes = new Uint8Array(length);
  for (let piece = 0, at = 0; piece < pieces.length; piece++) {
    // Of few bytes each, which a call would take longer for.
    for (const byte of pieces[piece]!) bytes[at++] = byte;
  }
  return { bytes, ends };
}
