/**
 * A seeded stream of uniform numbers, mulberry32.
 *
 * @param seed Any integer.
 * @returns A function whose calls give numbers in [0, 1).
 */
export function randomStream(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The order in which an epoch visits the data.
 *
 * @param length How many rows there are.
 * @param seed Of the run.
 * @param epoch Which epoch, from 0.
 * @returns A permutation of 0 … `length` − 1.
 */
export function epochOrder(
  length: number,
  seed: number,
  epoch: number,
): Uint32Array {
  const random = randomStream(Math.imul(seed, 0x9e3779b1) ^ epoch);
  for (let i = 0; i < 8; i++) random(); // neighbouring seeds drift apart
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
