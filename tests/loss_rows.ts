import fc from "fast-check";
import type { LossRows, Projection } from "#/kernels/losses/mod.ts";

/**
 * Arbitrary rows for tests: prime sizes, peaked logits, padded and full
 * teachers, rows without a label or a teacher.
 *
 * @returns A fast-check arbitrary.
 */
export function lossRows(): fc.Arbitrary<LossRows> {
  return fc.record({
    items: fc.constantFrom(1, 3, 7),
    vocabSize: fc.constantFrom(2, 4, 13, 256, 257, 1031, 1032),
    topK: fc.constantFrom(0, 1, 5, 11),
    peak: fc.constantFrom(1, 30),
    seed: fc.integer(),
  }).map(makeRows);
}

function makeRows({ items, vocabSize, topK: k, peak, seed }: {
  items: number;
  vocabSize: number;
  topK: number;
  peak: number;
  seed: number;
}): LossRows {
  const topK = Math.min(k, vocabSize - 1);
  const random = mulberry32(seed);
  const fill = (length: number, value: (i: number) => number) =>
    Float32Array.from({ length }, (_, i) => value(i));
  const fusedIds = new Int32Array(items * topK);
  const fusedProbs = new Float32Array(items * topK);
  const fusedResidual = new Float32Array(items);
  for (let row = 0; row < items; row++) {
    const used = Math.floor(random() * (topK + 1));
    const first = Math.floor(random() * vocabSize);
    const shares = Array.from({ length: used + 1 }, () => random() ** 3 + 1e-6);
    const sum = shares.reduce((total, share) => total + share, 0);
    for (let i = 0; i < topK; i++) {
      const index = row * topK + i;
      fusedIds[index] = i < used ? (first + i) % vocabSize : -1;
      fusedProbs[index] = i < used ? shares[i]! / sum : 0;
    }
    fusedResidual[row] = shares[used]! / sum;
  }
  return {
    logits: fill(items * vocabSize, () => peak * (random() ** 5 - 0.2)),
    labels: Int32Array.from(
      { length: items },
      () => Math.floor(random() * (vocabSize + 1)) - 1,
    ),
    labelWeight: fill(items, () => random()),
    fusedIds,
    fusedProbs,
    fusedResidual,
    fusedWeight: fill(items, () => Math.max(0, random() - 0.2)),
    vocabSize,
    topK,
    chunkLogprobs: fill(
      items,
      (i) => i % 3 === 1 ? NaN : -2 * random() ** 2 - 0.1,
    ),
    matched: Uint32Array.from(
      { length: vocabSize },
      () => random() < 0.7 ? 1 : 0,
    ),
    projection: projectionOf(vocabSize, random),
  };
}

/**
 * Write every token as itself.
 *
 * @param vocabSize V, which is also U.
 * @returns The projection.
 */
export function identityProjection(vocabSize: number): Projection {
  return {
    vocabSize,
    offsets: Uint32Array.from({ length: vocabSize + 1 }, (_, v) => v),
    ids: Uint32Array.from({ length: vocabSize }, (_, v) => v),
    weights: new Float32Array(vocabSize).fill(1),
  };
}

/** Up to three images a token, some without any, all over as many tokens. */
function projectionOf(vocabSize: number, random: () => number): Projection {
  const ids: number[] = [];
  const weights: number[] = [];
  const offsets = [0];
  for (let v = 0; v < vocabSize; v++) {
    const images = new Set(
      Array.from(
        { length: v === 0 ? 1 : Math.floor(4 * random()) },
        () => Math.floor(vocabSize * random()),
      ),
    );
    const shares = [...images].map(() => random() + 0.1);
    const sum = shares.reduce((total, share) => total + share, 0);
    ids.push(...images);
    weights.push(...shares.map((share) => share / sum));
    offsets.push(ids.length);
  }
  return {
    vocabSize,
    offsets: Uint32Array.from(offsets),
    ids: Uint32Array.from(ids),
    weights: Float32Array.from(weights),
  };
}

function mulberry32(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
