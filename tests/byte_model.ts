import type { Scorer } from "#/models/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

/** Ids below this are special: padding, BOS, EOS. */
export const BYTE_OFFSET = 3;

/**
 * A tokenizer whose tokens are bytes.
 *
 * @param special Its special ids by role; BOS is 1 and EOS is 2 by default.
 * @returns The tokenizer; byte b has id b + 3.
 */
export function byteTokenizer(
  special: Tokenizer["special"] = { pad: 0, bos: 1, eos: 2 },
): Tokenizer {
  const bytes = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  const none = Array.from({ length: BYTE_OFFSET }, () => new Uint8Array(0));
  return {
    directory: "byte",
    vocabSize: 256 + BYTE_OFFSET,
    tokens: ["<pad>", "<s>", "</s>", ...bytes.map(([byte]) => `<${byte}>`)],
    tokenBytes: [...none, ...bytes],
    special,
    specialIds: new Set([0, 1, 2]),
    encode(text) {
      const utf8 = new TextEncoder().encode(text);
      return {
        ids: Int32Array.from(utf8, (byte) => byte + BYTE_OFFSET),
        byteEnds: Int32Array.from(utf8, (_, i) => i + 1),
      };
    },
    decode: (ids) =>
      new TextDecoder().decode(
        Uint8Array.from(ids, (id) => id - BYTE_OFFSET),
      ),
    prefixSpace: false,
    normalizes: false,
  };
}

/**
 * A scorer whose logits depend on the last two tokens only, so that what it says
 * can be computed by hand.
 *
 * @param options Width of its logits and its context; `poison` is an id after
 * which all logits are NaN.
 * @returns The scorer; {@linkcode byteLogprobs} are its logprobs.
 */
export function byteScorer(
  { vocabSize = 264, contextLength = 64, poison = -1 } = {},
): Scorer & { batches: number[][] } {
  const batches: number[][] = [];
  const row = (ids: Int32Array, start: number, t: number) => {
    const last = ids[start + t]!;
    if (last === poison) return new Float64Array(vocabSize).fill(NaN);
    return byteLogprobs(t > 0 ? ids[start + t - 1]! : -1, last, vocabSize);
  };
  return {
    vocabSize,
    contextLength,
    batches,
    logits(ids, batch, length) {
      const logits = new Float32Array(batch * length * vocabSize);
      for (let i = 0; i < batch * length; i++) {
        const t = i % length;
        logits.set(row(ids, i - t, t), i * vocabSize);
      }
      return Promise.resolve(logits);
    },
    topLogprobs(ids, batch, length, topK) {
      batches.push([batch, length, topK]);
      const topkIds = new Int32Array(batch * length * topK);
      const topkLogprobs = new Float32Array(batch * length * topK);
      const labelLogprobs = new Float32Array(batch * length).fill(NaN);
      for (let i = 0; i < batch * length; i++) {
        const t = i % length;
        const logprobs = row(ids, i - t, t);
        const best = Int32Array.from(logprobs.keys())
          .sort((x, y) => logprobs[y]! - logprobs[x]! || x - y)
          .subarray(0, topK);
        topkIds.set(best, i * topK);
        topkLogprobs.set(
          Array.from(best, (id) => logprobs[id]!),
          i * topK,
        );
        if (t + 1 < length) labelLogprobs[i] = logprobs[ids[i + 1]!]!;
      }
      return Promise.resolve({ topkIds, topkLogprobs, labelLogprobs });
    },
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/**
 * What {@linkcode byteScorer} predicts after two tokens.
 *
 * @param before The token before the last, −1 if there is none.
 * @param last The last token.
 * @param vocabSize Width of the logits.
 * @returns Logprobs `[vocabSize]`.
 */
export function byteLogprobs(
  before: number,
  last: number,
  vocabSize = 264,
): Float64Array {
  const logits = Float64Array.from(
    { length: vocabSize },
    (_, id) => 3 * Math.sin(id * 7.1 + last * 3.3 + before * 1.7),
  );
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => logit - Math.log(total));
}
