import type { Generator } from "#/models/mod.ts";
import { realTokens } from "#/stages/real_tokens.ts";
import { startId, type Tokenizer } from "#/tokenizers/mod.ts";
import { sampler, type SamplingOptions } from "./sampling.ts";

/** A model to write with. */
export interface GenerateModel {
  /** Its tokenizer. */
  tokenizer: Tokenizer;
  /** Its forward pass, with a cache. */
  generator: Generator;
  /** Ids that end a text besides the tokenizer's EOS, as generation_config.json has them. */
  endIds?: readonly number[];
}

/** How to go on. */
export interface GenerateOptions extends SamplingOptions {
  /** Tokens at most. Defaults to 128. */
  maxNewTokens?: number;
}

/** One token that was written. */
export interface GeneratedToken {
  /** Its id. */
  id: number;
  /** The text it completes: nothing where a character needs more bytes. */
  text: string;
}

/**
 * Continue a text, token by token.
 *
 * The prompt follows BOS (EOS where there is none); an empty one is BOS alone.
 * It ends before EOS, after `maxNewTokens`, or where the context is full. The
 * text of all tokens is the continuation: bytes of a character that never became
 * whole are replaced at the end. A SentencePiece token's space is dropped at the
 * start of an empty prompt's continuation, where it is virtual.
 *
 * @param prompt The text to continue.
 * @param model The model.
 * @param options See {@linkcode GenerateOptions}.
 * @returns The tokens, as they are picked.
 * @throws {RangeError} If the prompt fills the context, or is empty and the
 * tokenizer has neither BOS nor EOS.
 */
export async function* generate(
  prompt: string,
  model: GenerateModel,
  options: GenerateOptions = {},
): AsyncGenerator<GeneratedToken> {
  const { tokenizer, generator } = model;
  const { contextLength } = generator;
  const ids = promptIds(prompt, tokenizer, contextLength);
  const ends = new Set(model.endIds);
  if (tokenizer.special.eos !== undefined) ends.add(tokenizer.special.eos);
  const most = Math.min(
    options.maxNewTokens ?? 128,
    contextLength - ids.length + 1,
  );
  if (most <= 0) return;
  const write = textWriter(tokenizer, prompt);
  let logits = await generator.prefill(ids);
  const pick = sampler(realTokens(tokenizer, logits.length), options);
  for (let written = 1;; written++) {
    const id = pick(logits);
    if (ends.has(id)) break;
    yield { id, text: write(id) };
    if (written === most) break;
    logits = await generator.next(id);
  }
  const rest = write();
  if (rest) yield { id: -1, text: rest };
}

function promptIds(
  prompt: string,
  tokenizer: Tokenizer,
  contextLength: number,
): Int32Array {
  const start = startId(tokenizer);
  const { ids } = tokenizer.encode(prompt);
  const all = start === undefined ? ids : Int32Array.from([start, ...ids]);
  if (all.length === 0) {
    throw new RangeError(
      "Cannot generate: the prompt is empty and the tokenizer has neither BOS " +
        "nor EOS to start from, expected a prompt",
    );
  }
  if (all.length > contextLength) {
    throw new RangeError(
      `Cannot generate: the prompt has ${all.length} tokens, expected at most ` +
        `${contextLength}, the model's context`,
    );
  }
  return all;
}

/** Turns ids into text; without an id, into what is left. */
function textWriter(
  tokenizer: Tokenizer,
  prompt: string,
): (id?: number) => string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let isStart = prompt === "" && tokenizer.prefixSpace;
  return (id) => {
    if (id === undefined) return decoder.decode();
    const bytes = tokenizer.tokenBytes[id]!;
    const text = decoder.decode(bytes, { stream: true });
    if (!isStart || bytes.length === 0) return text;
    isStart = false;
    return text.replace(/^ /, "");
  };
}
