import type { TopScorer } from "#/stages/scorer_pool.ts";

/** The best tokens of every position, and how well its label did. */
export interface TopLogprobs {
  /** K. */
  topK: number;
  /** Best ids, `[B, T, K]`, padded with −1. */
  topkIds: Int32Array;
  /** Their logprobs over the whole vocabulary, `[B, T, K]`, padded with −∞. */
  topkLogprobs: Float32Array;
  /** Logprob of the next token, `[B, T]`. */
  labelLogprobs: Float32Array;
}

/**
 * Make a function that finds the best *real* tokens of every position. Ids that
 * stand for no token keep their share of the mass (logprobs are over all logits)
 * but are passed over, so that their mass is in the residual.
 *
 * The scorer is asked for K; only where ids that stand for nothing got among
 * them is the batch scored again for more, and from then on for as many.
 *
 * @param scorer The model.
 * @param real 1 for a token, 0 for an id that stands for nothing, `[V]`.
 * @param topK K.
 * @returns A function of ids `[B, T]`, B and T.
 */
export function realTopLogprobs(
  scorer: Pick<TopScorer, "topLogprobs">,
  real: Uint8Array,
  topK: number,
): (ids: Int32Array, batch: number, length: number) => Promise<TopLogprobs> {
  const count = real.reduce((sum, isReal) => sum + isReal, 0);
  const enough = Math.min(real.length, topK + real.length - count);
  let asked = Math.min(topK, enough);
  return async (ids, batch, length) => {
    for (;; asked = Math.min(2 * asked, enough)) {
      const { topkIds, topkLogprobs, labelLogprobs } = await scorer
        .topLogprobs(ids, batch, length, asked);
      const kept = { topK, ...padding(batch * length * topK), labelLogprobs };
      const isFull = keepReal({ topkIds, topkLogprobs }, asked, real, kept);
      if (isFull || asked === enough) return kept;
    }
  };
}

function padding(entries: number) {
  return {
    topkIds: new Int32Array(entries).fill(-1),
    topkLogprobs: new Float32Array(entries).fill(-Infinity),
  };
}

/** Copies the real tokens of every position; whether there are K everywhere. */
function keepReal(
  from: Pick<TopLogprobs, "topkIds" | "topkLogprobs">,
  asked: number,
  real: Uint8Array,
  to: TopLogprobs,
): boolean {
  const { topK } = to;
  let isFull = true;
  for (let start = 0, out = 0; out < to.topkIds.length; out += topK) {
    let kept = 0;
    for (let k = start; k < start + asked && kept < topK; k++) {
      const id = from.topkIds[k]!;
      if (!real[id]) continue;
      to.topkIds[out + kept] = id;
      to.topkLogprobs[out + kept] = from.topkLogprobs[k]!;
      kept++;
    }
    isFull &&= kept === topK;
    start += asked;
  }
  return isFull;
}
