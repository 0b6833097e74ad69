import { isByteLevel, spaceSymbol } from "./token_bytes.ts";
import { flatten } from "./tokenizer_json.ts";
import type { Component, ModelJson, TokenizerJson } from "./tokenizer_json.ts";

/** A lone surrogate: no well-formed text holds one. */
const HIDDEN = "\ud800";

/**
 * Rewrite a tokenizer so that it reads every text as plain text.
 *
 * Three things change. Special tokens are not looked for: they leave the added
 * tokens, and in the model's vocabulary they get a name that no text can spell,
 * so that `</s>` in a text is four characters and never a control token; merges
 * that would make one go. The post-processor, which adds them, goes too. And
 * long texts are cut into words where that changes nothing, see
 * {@linkcode safeCuts}.
 *
 * @param json What tokenizer.json holds.
 * @param specialIds The ids to hide.
 * @returns A copy for the encoder.
 */
export function forPlainText(
  json: TokenizerJson,
  specialIds: ReadonlySet<number>,
): TokenizerJson {
  const pre = flatten(json.pre_tokenizer).flatMap(asInRust);
  const cuts = safeCuts(json);
  return {
    ...json,
    added_tokens: json.added_tokens.filter(({ id }) => !specialIds.has(id)),
    pre_tokenizer: sequence(cuts ? [...pre, cuts] : pre),
    post_processor: null,
    model: withHidden(json.model, specialIds),
  };
}

/**
 * Find where a text may be cut before encoding without changing its tokens.
 *
 * If no token holds a space symbol after character x, no merge and no Unigram
 * piece crosses from x to a following space symbol, so what stands on its two
 * sides is encoded independently. SentencePiece vocabularies cut so before
 * nearly every word, which bounds the work and lets the encoder's cache help.
 *
 * @param json What tokenizer.json holds.
 * @returns A pre-tokenizer that cuts there, undefined where it does not apply.
 */
export function safeCuts(json: TokenizerJson): Component | undefined {
  const space = spaceSymbol(json);
  if (!space || isByteLevel(json) || json.model.type === "WordPiece") {
    return undefined;
  }
  const before = new Set([space]);
  for (const token of spelledTokens(json.model)) {
    const characters = [...token];
    characters.forEach((character, at) => {
      if (at > 0 && character === space) before.add(characters[at - 1]!);
    });
  }
  return split(
    `(?<=[^${[...before].map(escaped).join("")}])(?=${escaped(space)})`,
  );
}

function spelledTokens({ vocab, merges = [] }: ModelJson): string[] {
  const tokens = Array.isArray(vocab)
    ? vocab.map(([token]) => token)
    : Object.keys(vocab);
  const merged = merges.map((merge) => partsOf(merge).join(""));
  return [...tokens, ...merged];
}

function partsOf(merge: string | [string, string]): string[] {
  return typeof merge === "string" ? merge.split(" ", 2) : merge;
}

function withHidden(
  model: ModelJson,
  specialIds: ReadonlySet<number>,
): ModelJson {
  if (Array.isArray(model.vocab)) {
    const vocab = model.vocab.map(([token, score], id) =>
      [specialIds.has(id) ? HIDDEN + token : token, score] as [string, number]
    );
    return { ...model, vocab };
  }
  const vocab = { ...model.vocab };
  const hidden = new Set<string>();
  for (const token in vocab) {
    if (specialIds.has(vocab[token]!)) hidden.add(token);
  }
  const rename = (token: string) => hidden.has(token) ? HIDDEN + token : token;
  for (const token of hidden) {
    vocab[HIDDEN + token] = vocab[token]!;
    delete vocab[token];
  }
  return {
    ...model,
    vocab,
    ...(model.unk_token ? { unk_token: rename(model.unk_token) } : {}),
    ...(model.merges
      ? {
        merges: model.merges.filter((merge) =>
          !hidden.has(partsOf(merge).join(""))
        ),
      }
      : {}),
  };
}

/** What the library leaves out of a pre-tokenizer that the Rust one does. */
function asInRust(component: Component): Component[] {
  if (component.type !== "Metaspace") return [component];
  const replacement = String(component.replacement ?? "▁");
  const scheme = component.prepend_scheme ??
    (component.add_prefix_space === false ? "never" : "always");
  const metaspace = { ...component, prepend_scheme: scheme };
  return component.split === false
    ? [metaspace]
    : [metaspace, split(`(?=${escaped(replacement)})`)];
}

function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

function split(regex: string): Component {
  return {
    type: "Split",
    pattern: { Regex: regex },
    behavior: "Isolated",
    invert: false,
  };
}

function sequence(parts: Component[]): Component | null {
  if (parts.length < 2) return parts[0] ?? null;
  return { type: "Sequence", pretokenizers: parts };
}
