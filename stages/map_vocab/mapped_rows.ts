import type { VocabMappingRow } from "#/shards/mod.ts";
import { mapInOrder } from "#/stages/map_in_order.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import type { Image, TokenWorkers } from "./methods/mod.ts";

/** What is mapped to what, and what is known to begin with. */
export interface MappedVocabularies {
  /** The target's tokenizer. */
  target: Tokenizer;
  /** The source's tokenizer. */
  source: Tokenizer;
  /** The target's token of each source token that has an exact counterpart. */
  exact: ReadonlyMap<number, number>;
}

/** Source tokens from one up to another. */
interface Range {
  first: number;
  end: number;
}

/**
 * The rows of a mapping.
 *
 * @param vocabularies What is mapped.
 * @param imagesOf The images of a source token that has bytes, but no exact
 * counterpart.
 * @param range Which source tokens. Defaults to all.
 * @returns The images of every one, ascending; at least one each.
 */
export function* mappedRows(
  { target, source, exact }: MappedVocabularies,
  imagesOf: (sourceId: number) => readonly Image[],
  { first, end }: Range = { first: 0, end: source.vocabSize },
): Generator<VocabMappingRow> {
  const nowhere = {
    targetId: target.special.unk ?? target.special.eos ?? 0,
    distance: Infinity,
    weight: 0,
  };
  for (let sourceId = first; sourceId < end; sourceId++) {
    const targetId = exact.get(sourceId);
    if (targetId !== undefined) {
      yield { sourceId, targetId, distance: 0, weight: 1 };
      continue;
    }
    const isText = (source.tokenBytes[sourceId]?.length ?? 0) > 0;
    const images = isText ? imagesOf(sourceId) : [];
    for (const image of images.length > 0 ? images : [nowhere]) {
      yield { sourceId, ...image };
    }
  }
}

/** Tokens that a worker maps at a time. */
const TOKENS_AT_A_TIME = 500;

/**
 * The rows of a mapping whose inexact tokens are mapped in workers.
 *
 * @param vocabularies What is mapped.
 * @param inexact Source tokens that have bytes, but no exact counterpart,
 * ascending.
 * @param startWorkers Starts so many workers.
 * @param count How many.
 * @returns As {@linkcode mappedRows}.
 */
export async function* rowsInWorkers(
  vocabularies: MappedVocabularies,
  inexact: readonly number[],
  startWorkers: (count: number) => TokenWorkers,
  count: number,
): AsyncGenerator<VocabMappingRow> {
  using workers = startWorkers(count);
  const mapped = mapInOrder(
    parts(inexact, vocabularies.source.vocabSize),
    2 * count,
    async ({ ids, range }) => {
      const images = await workers.images(ids);
      return { range, images: new Map(ids.map((id, at) => [id, images[at]!])) };
    },
  );
  for await (const { range, images } of mapped) {
    yield* mappedRows(vocabularies, (id) => images.get(id)!, range);
  }
}

/** Cuts the vocabulary into ranges with as many inexact tokens each. */
function* parts(
  inexact: readonly number[],
  vocabSize: number,
): Generator<{ ids: readonly number[]; range: Range }> {
  let first = 0;
  for (let at = 0; first < vocabSize; at += TOKENS_AT_A_TIME) {
    const end = inexact[at + TOKENS_AT_A_TIME] ?? vocabSize;
    const ids = inexact.slice(at, at + TOKENS_AT_A_TIME);
    yield { ids, range: { first, end } };
    first = end;
  }
}
