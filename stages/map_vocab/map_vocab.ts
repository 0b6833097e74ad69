import { bytesKey } from "#/kernels/mod.ts";
import type { VocabMappingRow } from "#/shards/mod.ts";
import {
  type ByteVocabulary,
  byteVocabulary,
} from "#/stages/byte_vocabulary.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { type Image, type MapMethodName, methods } from "./methods/mod.ts";
import { specialImages } from "./special_images.ts";

/** How to map. */
export interface MapVocabOptions {
  /** How tokens without an exact counterpart are mapped. Defaults to `min-edit-distance`. */
  method?: MapMethodName;
}

/**
 * Map every token of a source to tokens of a target.
 *
 * - A token that stands for bytes goes to the token with the same bytes, at
 *   distance 0: of several, the one spelled the same, else the one the target
 *   writes in text, else the smallest id. Where no token has these bytes, the
 *   method decides.
 * - A special token goes to the target's of the same role, see
 *   {@linkcode specialImages}, else to one spelled the same.
 * - What is left, special tokens without a counterpart, holes, and tokens
 *   without bytes, has nothing to go to: its one row has weight 0 and an
 *   infinite distance, and names the target's unknown token, EOS or token 0.
 *   Its mass belongs to the residual.
 *
 * A byte token (`<0x41>`) whose byte another token has is no candidate but for
 * its own spelling: the target never writes it.
 *
 * @param target The target's tokenizer.
 * @param source The source's tokenizer.
 * @param options See {@linkcode MapVocabOptions}.
 * @returns The images of every source id, ascending; at least one each.
 * @throws {RangeError} If no token of the target stands for bytes.
 */
export function* mapVocab(
  target: Tokenizer,
  source: Tokenizer,
  { method = "min-edit-distance" }: MapVocabOptions = {},
): Generator<VocabMappingRow> {
  const vocabulary = byteVocabulary(target);
  const bySpelling = new Map<string, number>();
  target.tokens.forEach((token, id) => {
    if (token !== "" && !bySpelling.has(token)) bySpelling.set(token, id);
  });
  const byRole = specialImages(target, source);
  const nowhere: Image = {
    targetId: target.special.unk ?? target.special.eos ?? 0,
    distance: Infinity,
    weight: 0,
  };

  for (let sourceId = 0; sourceId < source.vocabSize; sourceId++) {
    const bytes = source.tokenBytes[sourceId] ?? new Uint8Array(0);
    const spelled = bySpelling.get(source.tokens[sourceId] ?? "");
    const exact = byRole.get(sourceId) ??
      exactImage(bytes, spelled, target, vocabulary);
    const images = exact !== undefined
      ? [{ targetId: exact, distance: 0, weight: 1 }]
      : bytes.length > 0
      ? methods[method](bytes, vocabulary)
      : [nowhere];
    for (const image of images) yield { sourceId, ...image };
  }
}

/** The target's token with these bytes, or without any and of this spelling. */
function exactImage(
  bytes: Uint8Array,
  spelled: number | undefined,
  target: Tokenizer,
  { ids, nearest }: ByteVocabulary,
): number | undefined {
  const wanted = bytesKey(bytes);
  if (
    spelled !== undefined && bytesKey(target.tokenBytes[spelled]!) === wanted
  ) return spelled;
  const index = bytes.length > 0 ? nearest.exact(bytes) : undefined;
  return index === undefined ? undefined : ids[index];
}
