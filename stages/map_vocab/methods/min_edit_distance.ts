import { NearestStrings } from "#/kernels/edit_distance/nearest_strings.ts";
import { bytesKey } from "#/kernels/mod.ts";
import type { ByteVocabulary } from "#/stages/byte_vocabulary.ts";
import { NearestWorkers } from "#/stages/map_vocab/nearest_workers.ts";
import type { MapInputs, TokenMethod, TokenWorkers } from "./method.ts";

/**
 * Map a token to the one at the least edit distance, over bytes or over
 * characters; of several equally near, to the one with the smallest id.
 *
 * @see Wan et al. 2024, {@link https://arxiv.org/abs/2401.10491}, Section 3.2.
 */
export const minEditDistance: TokenMethod = {
  description: "goes to the token at the least edit distance",
  settings: ["space"],
  tokens: (inputs, { space = "bytes" }) => {
    const nearest = nearestIn[space](inputs);
    return {
      images: (sourceId) => [{ ...nearest(sourceId), weight: 1 }],
      ...space === "bytes" && {
        startWorkers: (count: number) => nearestInWorkers(inputs, count),
      },
    };
  },
};

/** Finds the nearest token of the target. */
export type FindNearest = (
  sourceId: number,
) => { targetId: number; distance: number };

const nearestIn = { bytes: nearestBytes, string: nearestCharacters } as const;

/**
 * Look for the nearest token over bytes.
 *
 * @param inputs What is mapped to what.
 * @returns A function from source tokens to the nearest of the target.
 */
export function nearestBytes({ source, vocabulary }: MapInputs): FindNearest {
  const { ids, nearest } = vocabulary;
  return (sourceId) => {
    const { index, distance } = nearest.find(source.tokenBytes[sourceId]!);
    return { targetId: ids[index]!, distance };
  };
}

function nearestInWorkers(
  { target, source, vocabulary: { ids } }: MapInputs,
  count: number,
): TokenWorkers {
  const candidates = Array.from(ids, (id) => target.tokenBytes[id]!);
  const workers = new NearestWorkers(count, candidates);
  return {
    async images(sourceIds) {
      const queries = sourceIds.map((id) => source.tokenBytes[id]!);
      const { indexes, distances } = await workers.find(queries);
      return Array.from(indexes, (index, at) => [
        { targetId: ids[index]!, distance: distances[at]!, weight: 1 },
      ]);
    },
    [Symbol.dispose]: () => workers[Symbol.dispose](),
  };
}

function nearestCharacters(inputs: MapInputs): FindNearest {
  const { source, target, vocabulary: { ids } } = inputs;
  const strings = new NearestStrings(
    Array.from(ids, (id) => characters(target.tokenBytes[id]!)),
  );
  return (sourceId) => {
    const wanted = characters(source.tokenBytes[sourceId]!);
    const { indexes, distance } = strings.nearest(wanted);
    return { targetId: ids[indexes[0]!]!, distance };
  };
}

/**
 * All target tokens that are nearest over bytes.
 *
 * @param vocabulary The target's tokens by bytes.
 * @param target The target's tokenizer.
 * @returns A function from bytes to ids, ascending, and their distance.
 */
export function allNearest(
  { ids }: ByteVocabulary,
  { tokenBytes }: MapInputs["target"],
): (bytes: Uint8Array) => { targetIds: number[]; distance: number } {
  const strings = new NearestStrings(
    Array.from(ids, (id) => bytesKey(tokenBytes[id]!)),
  );
  return (bytes) => {
    const { indexes, distance } = strings.nearest(bytesKey(bytes));
    return { targetIds: indexes.map((index) => ids[index]!), distance };
  };
}

/**
 * Bytes as text. A byte that belongs to no character is a character of its own,
 * a lone surrogate, as in Python's `surrogateescape`.
 */
function characters(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes[at]!);
    const character = decoded(bytes.subarray(at, at + length));
    text += character ?? String.fromCharCode(0xdc00 + bytes[at]!);
    at += character === undefined ? 1 : length;
  }
  return text;
}

/** Bytes of a character, by its first. */
function sequenceLength(lead: number): number {
  return lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
