/** How the next token is picked. */
export interface SamplingOptions {
  /** 0 takes the most likely token; 1 draws from the model's distribution. Defaults to 0. */
  temperature?: number;
  /** Draw only from the most likely tokens that hold this much mass. Defaults to 1. */
  topP?: number;
  /** Seed of the draws. Defaults to 0. */
  seed?: number;
}

/**
 * Make a function that picks the next token.
 *
 * @param real 1 for a token, 0 for an id that is never picked, `[V]`.
 * @param options See {@linkcode SamplingOptions}.
 * @returns A function of logits `[V]`: the id of the token. Of equal logits the
 * smallest id counts.
 * @throws {RangeError} If an option is out of range; the function throws it if
 * there is NaN among the logits.
 */
export function sampler(
  real: Uint8Array,
  { temperature = 0, topP = 1, seed = 0 }: SamplingOptions = {},
): (logits: Float32Array) => number {
  if (!(temperature >= 0 && topP > 0 && topP <= 1)) {
    throw new RangeError(
      `Cannot sample: temperature is ${temperature} and top-p ${topP}, ` +
        "expected temperature >= 0 and 0 < top-p <= 1",
    );
  }
  const random = mulberry32(seed);
  return (logits) => {
    if (temperature === 0) return mostLikely(logits, real);
    const probs = softmax(logits, real, temperature);
    return draw(probs, topP, random());
  };
}

function mostLikely(logits: Float32Array, real: Uint8Array): number {
  let best = -1;
  for (let id = 0; id < real.length; id++) {
    if (!real[id]) continue;
    if (Number.isNaN(logits[id])) {
      throw new RangeError("Cannot pick a token: the model computes NaN");
    }
    if (best < 0 || logits[id]! > logits[best]!) best = id;
  }
  return best;
}

function softmax(
  logits: Float32Array,
  real: Uint8Array,
  temperature: number,
): Float64Array {
  const max = logits[mostLikely(logits, real)]!;
  const weights = Float64Array.from(
    logits,
    (logit, id) => real[id] ? Math.exp((logit - max) / temperature) : 0,
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** Walks the tokens from the most likely one until `u` of the nucleus is spent. */
function draw(probs: Float64Array, topP: number, u: number): number {
  const order = Uint32Array.from(probs.keys())
    .sort((x, y) => probs[y]! - probs[x]! || x - y);
  let nucleus = 0;
  let size = 0;
  while (size < order.length && nucleus < topP) {
    nucleus += probs[order[size++]!]!;
  }
  let left = u * nucleus;
  for (const id of order.subarray(0, size)) {
    left -= probs[id]!;
    if (left < 0) return id;
  }
  return order[0]!;
}

/** Tommy Ettinger's 32-bit generator: small, and enough for drawing tokens. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
