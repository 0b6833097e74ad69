import { createHash } from "node:crypto";
import type { RepresentationRow } from "#/shards/mod.ts";
import { startId, type Tokenizer } from "#/tokenizers/mod.ts";

/** One distribution: ids and logprobs, at most K of them. */
export type Candidates = readonly (readonly [id: number, logprob: number])[];

/**
 * The representation of a text by a model that is told what to say.
 *
 * @param tokenizer The model's tokenizer.
 * @param text One block, the last of its document.
 * @param says What the model predicts at row t; its label's logprob is −t.
 * @param topK K.
 * @returns The row, with logprobs rounded to f16 as on disk.
 */
export function representation(
  tokenizer: Tokenizer,
  text: string,
  says: (row: number) => Candidates,
  topK: number,
): RepresentationRow {
  const { ids, byteEnds } = tokenizer.encode(text);
  const start = startId(tokenizer);
  const { eos } = tokenizer.special;
  const bytes = byteEnds.at(-1) ?? 0;
  const inputIds = [...(start === undefined ? [] : [start]), ...ids];
  const ends = [...(start === undefined ? [] : [0]), ...byteEnds];
  if (eos !== undefined) {
    inputIds.push(eos);
    ends.push(bytes);
  }
  const { length } = inputIds;
  const row = {
    id: text,
    textHash: createHash("sha256").update(text).digest("hex"),
    inputIds: Int32Array.from(inputIds),
    byteEnds: Int32Array.from(ends),
    topK,
    topkIds: new Int32Array(length * topK).fill(-1),
    topkLogprobs: new Float32Array(length * topK).fill(-Infinity),
    labelLogprobs: Float32Array.from(
      { length },
      (_, t) => t < length - 1 ? -t : NaN,
    ),
    bitsPerByte: 1.5,
  };
  for (let t = 0; t < length; t++) {
    says(t).slice(0, topK).forEach(([id, logprob], k) => {
      row.topkIds[t * topK + k] = id;
      row.topkLogprobs[t * topK + k] = Math.f16round(logprob);
    });
  }
  return row;
}
