import type { RepresentationRow } from "#/shards/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import type { Prediction, Reading, Share } from "./inspection.ts";
import { spelling } from "./spelling.ts";
import { rounded } from "./transports.ts";

/**
 * A text as a model reads it, ready for the page.
 *
 * @param row What the model says.
 * @param model Its name and tokenizer.
 * @param more Further tokens whose spelling the page needs.
 * @returns Tokens, predictions, spellings.
 */
export function readingOf(
  row: RepresentationRow,
  { name, tokenizer }: { name: string; tokenizer: Tokenizer },
  more: readonly number[] = [],
): Reading {
  const { inputIds, byteEnds, labelLogprobs } = row;
  const tokens = Array.from(inputIds, (id, t) => ({
    id,
    start: t > 0 ? byteEnds[t - 1]! : 0,
    end: byteEnds[t]!,
  }));
  const rows = Array.from(labelLogprobs, (logprob, t): Prediction => ({
    top: sharesOf(row, t),
    ...(!Number.isNaN(logprob) && { label: rounded(Math.exp(logprob)) }),
  }));
  const spellings: Record<number, string> = {};
  for (const ids of [inputIds, row.topkIds, more]) {
    for (const id of ids) {
      if (id >= 0) spellings[id] ??= spelling(tokenizer, id);
    }
  }
  const bitsPerByte = rounded(row.bitsPerByte);
  return { name, bitsPerByte, tokens, rows, spellings };
}

/**
 * One row's best tokens and their probabilities.
 *
 * @param row All rows.
 * @param t Which one.
 * @param decimals To round to. Defaults to 4.
 * @returns Those above 0, before rounding.
 */
export function sharesOf(
  { topK, topkIds, topkLogprobs }: Pick<
    RepresentationRow,
    "topK" | "topkIds" | "topkLogprobs"
  >,
  t: number,
  decimals = 4,
): Share[] {
  const shares: Share[] = [];
  for (let k = t * topK; k < (t + 1) * topK; k++) {
    const p = Math.exp(topkLogprobs[k]!);
    if (topkIds[k]! < 0 || !(p > 0)) continue;
    shares.push([
      topkIds[k]!,
      decimals === Infinity ? p : rounded(p, decimals),
    ]);
  }
  return shares;
}
