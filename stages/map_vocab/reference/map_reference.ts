import { bytesKey } from "#/kernels/mod.ts";
import type { VocabMappingRow } from "#/shards/mod.ts";
import { specialImages } from "#/stages/map_vocab/special_images.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { findBestMapping } from "./find_best_mapping.ts";

/**
 * What the published mapping does that is thought to be wrong, one switch each.
 * Switched off, it does the other thing named here.
 */
export const mappingDefects = {
  "raw-strings":
    "tokens are compared as they are spelled, not by the bytes they stand for",
  "specials-by-spelling":
    "special tokens go to what resembles their names, not to the same role",
  "window-edge":
    "company at the edge of the window counts half; with reference-co-occurrence",
  "last-image":
    "of source tokens with one image the last is company, the others are not; with reference-co-occurrence",
  "rare-first":
    "of tokens met, those met least are preferred; with reference-statistics",
  "unseen-to-unknown":
    "a token that met none goes to the unknown token; with reference-statistics",
} as const;

/** Which of the mapping's defects are switched on. */
export type MappingDefects = Readonly<
  Record<keyof typeof mappingDefects, boolean>
>;

/**
 * Switch defects of the mapping on.
 *
 * @param names Those that are to be as published; the others are corrected.
 * @returns A switch for each.
 * @throws {RangeError} If there is no such defect.
 */
export function withMappingDefects(names: Iterable<string>): MappingDefects {
  const on = new Set(names);
  const known = Object.keys(mappingDefects);
  const foreign = [...on].find((name) => !known.includes(name));
  if (foreign !== undefined) {
    throw new RangeError(
      `Cannot switch a defect on: "${foreign}" is none of the mapping's, ` +
        `expected one of ${known.join(", ")}`,
    );
  }
  const switches = known.map((name) => [name, on.has(name)] as const);
  return Object.fromEntries(switches) as Record<
    keyof typeof mappingDefects,
    boolean
  >;
}

/** Everything as published. */
export const mappingAsPublished: MappingDefects = {
  "raw-strings": true,
  "specials-by-spelling": true,
  "window-edge": true,
  "last-image": true,
  "rare-first": true,
  "unseen-to-unknown": true,
};

/** A source token and target tokens that are equally near to it. */
export interface Tie {
  /** The source's token. */
  sourceId: number;
  /** More than one token of the target, ascending. */
  ids: readonly number[];
}

/** What there is of a tokenizer to map. */
export type MappedVocabulary = Pick<
  Tokenizer,
  "vocabSize" | "tokens" | "tokenBytes" | "special" | "specialIds"
>;

/**
 * Map every token of a source to one of a target, as FuseLLM does.
 *
 * Of several targets equally near, the one with the smallest id is taken. With
 * `specials-by-spelling` switched off, a special token without a counterpart has
 * weight 0, and no other token goes to a special one.
 *
 * @param target The target's vocabulary.
 * @param source The source's vocabulary.
 * @param defects Which defects to reproduce. Defaults to all.
 * @param onTie Is told of every tie.
 * @returns One row per source id, ascending; holes have weight 0.
 * @throws {RangeError} If the target has no token.
 */
export function* mapReference(
  target: MappedVocabulary,
  source: MappedVocabulary,
  defects: MappingDefects = mappingAsPublished,
  onTie: (tie: Tie) => void = () => {},
): Generator<VocabMappingRow> {
  const isRaw = defects["raw-strings"];
  const byRole = !defects["specials-by-spelling"];
  const spell = (vocabulary: MappedVocabulary, id: number) => {
    const bytes = vocabulary.tokenBytes[id];
    return isRaw || !bytes?.length
      ? vocabulary.tokens[id] ?? ""
      : bytesKey(bytes);
  };
  const [ours, theirs] = [target, source].map(({ tokens }) =>
    isRaw ? wordMarker(tokens) : ""
  );
  const find = findBestMapping({
    tokens: target.tokens.map((_, id) =>
      byRole && target.specialIds.has(id) ? "" : spell(target, id)
    ),
    marker: ours!,
  });
  const roles = byRole ? specialImages(target, source) : new Map();
  const names = new Map(target.tokens.map((token, id) => [token, id]));
  for (let sourceId = 0; sourceId < source.vocabSize; sourceId++) {
    const token = spell(source, sourceId);
    if (byRole && source.specialIds.has(sourceId)) {
      const targetId = roles.get(sourceId) ??
        names.get(source.tokens[sourceId] ?? "");
      yield targetId === undefined
        ? nowhere(sourceId)
        : { sourceId, targetId, distance: 0, weight: 1 };
    } else if (token === "") yield nowhere(sourceId);
    else {
      const { ids, distance } = find(token, theirs!);
      if (ids.length > 1) onTie({ sourceId, ids });
      yield { sourceId, targetId: ids[0]!, distance, weight: 1 };
    }
  }
}

function nowhere(sourceId: number): VocabMappingRow {
  return { sourceId, targetId: 0, distance: Infinity, weight: 0 };
}

/**
 * What stands for a space: the marker with which more tokens begin.
 *
 * @param tokens Spellings of a vocabulary.
 * @returns `▁` or `Ġ`.
 */
export function wordMarker(tokens: readonly string[]): string {
  const count = (marker: string) =>
    tokens.filter((token) => token.startsWith(marker)).length;
  return count("Ġ") > count("▁") ? "Ġ" : "▁";
}
