import fc from "fast-check";
import type { TransportProblems } from "#/kernels/sinkhorn/sinkhorn_cpu.ts";

const SIZES = [[2, 3], [2, 13], [7, 5], [11, 3], [11, 13]] as const;

/**
 * Arbitrary problems: prime sizes, edit-distance-like costs, peaked marginals
 * with zeros, where kernels break first.
 *
 * @param maxCost Costs are whole numbers from 0 to this.
 * @param sizes Rows and columns to choose from.
 * @returns A fast-check arbitrary.
 */
export function transportProblems(
  maxCost = 8,
  sizes: readonly (readonly [number, number])[] = SIZES,
): fc.Arbitrary<TransportProblems> {
  return fc.record({
    batch: fc.constantFrom(1, 2, 3),
    size: fc.constantFrom(...sizes),
    power: fc.constantFrom(1, 3, 30),
    seed: fc.integer(),
  }).map(({ batch, size: [rows, cols], power, seed }) => {
    const random = mulberry32(seed);
    const cost = () => Math.floor(random() * (maxCost + 1));
    return {
      cost: fill(batch * rows * cols, cost),
      a: distributions(batch, rows, () => random() ** power),
      b: distributions(batch, cols, () => random() ** power),
      rows,
      cols,
    };
  });
}

function distributions(
  batch: number,
  length: number,
  weight: () => number,
): Float32Array<ArrayBuffer> {
  const weights = fill(batch * length, weight);
  for (let first = 0; first < weights.length; first += length) {
    const row = weights.subarray(first, first + length);
    row[first % length] = 0;
    row[(first + 1) % length]! += 1e-3;
    const sum = row.reduce((total, value) => total + value, 0);
    row.forEach((value, i) => row[i] = value / sum);
  }
  return weights;
}

function fill(length: number, value: () => number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, value);
}

/**
 * A small seeded generator of numbers in [0, 1).
 *
 * @param seed Any integer.
 * @returns The next number at each call.
 */
export function mulberry32(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
