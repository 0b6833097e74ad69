import { existsSync, statSync } from "node:fs";
import { readDocuments } from "#/shards/mod.ts";
import { startId, type Tokenizer } from "#/tokenizers/mod.ts";
import {
  type Continuation,
  logLikelihoods,
} from "#/stages/evaluate/log_likelihood.ts";
import type { EvaluatedModel, EvaluateOptions, Task } from "./task.ts";

/** One document to predict. */
export interface EvaluatedDocument {
  /** The file it is in. */
  file: string;
  /** Which document of the file it is. */
  row: number;
  /** Its text. */
  text: string;
}

/** How well a model predicts the documents of a file. */
export type TextResult = {
  /** The file. */
  file: string;
  /** Documents in it. */
  documents: number;
  /** Tokens that were predicted. */
  tokens: number;
  /** UTF-8 bytes of the text. */
  bytes: number;
  /** Negative log-likelihood, in nats. */
  nats: number;
  /** The same per token; 0 if there are none. */
  nats_per_token: number;
  /** The same in bits per byte, which compares models of different tokenizers; 0 if there are no bytes. */
  bits_per_byte: number;
  /** exp(nats per token). */
  perplexity: number;
};

/**
 * Bits per byte and perplexity of documents, summed by file.
 *
 * Every document starts with BOS, or EOS where there is none, so that every byte
 * is predicted (with neither, its first token is not). None is cut: one longer
 * than the context goes through in overlapping windows. EOS is not scored.
 *
 * @param documents The documents, those of a file together.
 * @param model The model.
 * @param options See {@linkcode EvaluateOptions}; an item is a document.
 * @returns One result per file, in order.
 */
export async function evaluateText(
  documents: AsyncIterable<EvaluatedDocument>,
  { tokenizer, scorer }: EvaluatedModel,
  options: EvaluateOptions = {},
): Promise<TextResult[]> {
  const files: TextResult[] = [];
  const fileOf: number[] = [];
  async function* continuations() {
    for await (const { file, row, text } of documents) {
      if (files.at(-1)?.file !== file) files.push(emptyResult(file));
      fileOf.push(files.length - 1);
      files.at(-1)!.documents++;
      files.at(-1)!.bytes += new TextEncoder().encode(text).length;
      const where = `document ${row} of ${file}`;
      yield { ...wholeText(text, tokenizer), where };
    }
  }
  let index = 0;
  for await (
    const score of logLikelihoods(continuations(), scorer, options)
  ) {
    const result = files[fileOf[index++]!]!;
    result.nats += score.nats;
    result.tokens += score.tokens;
    options.onItems?.(1);
  }
  return files.map(withRates);
}

/** Bits per byte and perplexity per file. */
export const text: Task = {
  description: "Text to predict: .txt, .jsonl, .parquet or a saved dataset",
  async count(paths) {
    let count = 0;
    for await (const _ of readDocuments(paths)) count++;
    return count;
  },
  async evaluate(paths, model, options) {
    const results = await evaluateText(readDocuments(paths), model, options);
    const seen = new Set(results.map(({ file }) => file));
    const empty = paths.filter((path) =>
      !seen.has(path) && existsSync(path) && statSync(path).isFile()
    );
    return inOrder(paths, [...results, ...empty.map(emptyResult)]);
  },
};

function wholeText(text: string, tokenizer: Tokenizer): Continuation {
  const start = startId(tokenizer);
  const { ids } = tokenizer.encode(text);
  if (start === undefined) return { ids, from: 1, hasStart: false };
  return { ids: Int32Array.from([start, ...ids]), from: 1, hasStart: true };
}

/** Files without documents come last; puts them where they were asked for. */
function inOrder(paths: readonly string[], results: TextResult[]) {
  const place = ({ file }: TextResult) =>
    paths.findIndex((path) => file.startsWith(path));
  return results.sort((x, y) => place(x) - place(y));
}

function emptyResult(file: string): TextResult {
  return {
    file,
    documents: 0,
    tokens: 0,
    bytes: 0,
    nats: 0,
    nats_per_token: 0,
    bits_per_byte: 0,
    perplexity: 1,
  };
}

function withRates(result: TextResult): TextResult {
  const { nats, tokens, bytes } = result;
  const perToken = tokens === 0 ? 0 : nats / tokens;
  return {
    ...result,
    nats_per_token: perToken,
    bits_per_byte: bytes === 0 ? 0 : nats / Math.LN2 / bytes,
    perplexity: Math.exp(perToken),
  };
}
