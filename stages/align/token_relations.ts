import type { VocabMappingRow } from "#/shards/mod.ts";
import {
  type ByteVocabulary,
  byteVocabulary,
} from "#/stages/byte_vocabulary.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import {
  type Cost,
  type CostName,
  costs,
  type Embeddings,
  type TokenCost,
} from "./costs/mod.ts";
import { CostTable } from "./cost_table.ts";
import { sketchOf } from "./edit_bound.ts";

/** A target token that takes mass of a source token. */
export type TokenImage = Omit<VocabMappingRow, "sourceId">;

/** How the tokens of a source relate to those of a target, at some kind of position. */
export interface TokenRelation {
  /**
   * The target tokens that stand for a source token.
   *
   * @param sourceId The source's token.
   * @returns Images of positive weight; none if the token's mass has nowhere to go.
   */
  images(sourceId: number): readonly TokenImage[];
  /**
   * What it costs to move mass from a source token to target tokens: 0 to an
   * exact image, else at least 1, in edits.
   *
   * @param sourceId The source's token.
   * @param targetIds Tokens of the target.
   * @param into Where to write the cost of each.
   * @param first The entry to begin with. Defaults to 0.
   */
  costs(
    sourceId: number,
    targetIds: ArrayLike<number>,
    into: Float32Array,
    first?: number,
  ): void;
  /**
   * Select target tokens for {@linkcode TokenRelation.row}.
   *
   * @param targetIds Tokens of the target.
   * @param count How many there are.
   */
  select(targetIds: ArrayLike<number>, count: number): void;
  /**
   * What it costs to move mass from a source token to those that are selected.
   *
   * @param sourceId The source's token.
   * @param into Where to write the cost of each.
   * @param first The entry to begin with.
   * @param reach Of interest are costs up to this above the least: the others
   * may come out as `Infinity`.
   */
  row(
    sourceId: number,
    into: Float32Array,
    first: number,
    reach: number,
  ): void;
}

/** What it costs to move mass. */
export interface RelationOptions {
  /** How the cost is told. Defaults to `byte-edit-distance`. */
  cost?: CostName;
  /** The target's embeddings, for costs that need them. */
  embeddings?: Embeddings;
}

/** Cost between a special token and whatever is not its image, in edits. */
const FOREIGN = 16;

const SPACE = 0x20;

/**
 * The relation of a source's tokens to a target's.
 *
 * The cost is by default the edit distance of the decoded bytes, a leading space
 * included.
 * Only an exact image costs 0: another token of the same bytes costs 1, so that
 * mass never leaks between two spellings.
 *
 * At the start of a text a SentencePiece tokenizer writes a space that is not
 * there. A row that predicts such a token compares by what its candidates add
 * to the text: `▁the` adds `the`. Where only one of the two models stands
 * there, images are looked up anew, by those bytes: the same bytes, or else the
 * nearest, if the mapping has such images at all.
 */
export class TokenRelations {
  readonly #target: Tokenizer;
  readonly #source: Tokenizer;
  readonly #images: TokenImage[][];
  /** 1 for each source token with an image at distance 0. */
  readonly #isExact: Uint8Array;
  readonly #relations = new Map<string, TokenRelation>();
  readonly #cost: TokenCost;
  readonly #countsEdits: boolean;
  /** Whether the mapping has images that are not exact. */
  readonly #mapsInexact: boolean;
  #vocabulary: ByteVocabulary | undefined;

  /**
   * Prepare.
   *
   * @param target The target's tokenizer.
   * @param source The source's tokenizer.
   * @param mapping Images of every source token.
   * @param options See {@linkcode RelationOptions}.
   * @throws {RangeError} If the mapping is not one of these tokenizers.
   */
  constructor(
    target: Tokenizer,
    source: Tokenizer,
    mapping: Iterable<VocabMappingRow>,
    { cost = "byte-edit-distance", embeddings }: RelationOptions = {},
  ) {
    const { make, countsEdits }: Cost = costs[cost];
    this.#cost = make({ target, embeddings });
    this.#countsEdits = countsEdits ?? false;
    this.#target = target;
    this.#source = source;
    this.#images = imagesOf(mapping, target, source);
    this.#isExact = Uint8Array.from(
      this.#images,
      (images) => images.some(({ distance }) => distance === 0) ? 1 : 0,
    );
    this.#mapsInexact = this.#images.some((images) =>
      images.some(({ distance }) => distance > 0)
    );
  }

  /** Images of a source token at most. */
  get mostImages(): number {
    return this.#images.reduce((most, { length }) => Math.max(most, length), 1);
  }

  /**
   * Tell whether a source token has an exact counterpart.
   *
   * @param sourceId The source's token.
   * @returns Whether one of its images is at distance 0.
   */
  hasExactImage(sourceId: number): boolean {
    return this.#isExact[sourceId] === 1;
  }

  /**
   * The relation at one kind of position.
   *
   * @param targetStarts Whether the target's row predicts a token with a virtual space.
   * @param sourceStarts Whether the source's does.
   * @returns The relation, made once for each kind.
   */
  at(targetStarts: boolean, sourceStarts: boolean): TokenRelation {
    const isSame = targetStarts === sourceStarts;
    const key = isSame ? "same" : targetStarts ? "target" : "source";
    const known = this.#relations.get(key);
    if (known) return known;
    const relation = this.#relation(
      isSame
        ? (sourceId) => this.#images[sourceId]!
        : memoized((sourceId) => this.#imagesAtStart(sourceId, targetStarts)),
      targetStarts && !isSame,
      sourceStarts && !isSame,
    );
    this.#relations.set(key, relation);
    return relation;
  }

  #relation(
    images: TokenRelation["images"],
    targetStarts: boolean,
    sourceStarts: boolean,
  ): TokenRelation {
    const ours = heads(this.#target.tokenBytes, targetStarts);
    const theirs = heads(this.#source.tokenBytes, sourceStarts);
    const table = new CostTable(
      {
        sourceSize: theirs.length,
        targetSize: ours.length,
        ...(this.#countsEdits && {
          sketches: {
            source: Int32Array.from(theirs, sketchOf),
            target: Int32Array.from(ours, sketchOf),
          },
        }),
      },
      (sourceId, targetId) => {
        const from = this.#source.tokenBytes[sourceId]!;
        const to = this.#target.tokenBytes[targetId]!;
        if (from.length === 0 || to.length === 0) return FOREIGN;
        return Math.max(1, this.#cost(theirs[sourceId]!, ours[targetId]!));
      },
    );
    return new TableRelation(images, table);
  }

  #imagesAtStart(sourceId: number, targetStarts: boolean): TokenImage[] {
    const bytes = this.#source.tokenBytes[sourceId]!;
    if (bytes.length === 0) return this.#images[sourceId]!;
    const wanted = targetStarts
      ? Uint8Array.of(SPACE, ...bytes)
      : withoutSpace(bytes);
    if (wanted.length === 0) return [];
    this.#vocabulary ??= byteVocabulary(this.#target);
    const { ids, nearest } = this.#vocabulary;
    if (!this.#mapsInexact && nearest.exact(wanted) === undefined) return [];
    const { index, distance } = nearest.find(wanted);
    return [{ targetId: ids[index]!, distance, weight: 1 }];
  }
}

/**
 * How many of a sequence's first rows predict a token with a virtual space.
 *
 * @param tokenizer The tokenizer.
 * @param inputIds The sequence, `[T]`.
 * @param byteEnds Byte offset after each token, `[T]`.
 * @returns A number of rows; 0 where the text's first token has no such space.
 */
export function startRows(
  { prefixSpace, specialIds, tokenBytes }: Tokenizer,
  inputIds: Int32Array,
  byteEnds: Int32Array,
): number {
  if (!prefixSpace) return 0;
  const first = inputIds.findIndex((id) => !specialIds.has(id));
  if (first < 0) return inputIds.length;
  const bytes = tokenBytes[inputIds[first]!]!;
  // A text that begins with a space of its own may be left as it is.
  return bytes[0] === SPACE && byteEnds[first]! < bytes.length ? first : 0;
}

function imagesOf(
  mapping: Iterable<VocabMappingRow>,
  target: Tokenizer,
  source: Tokenizer,
): TokenImage[][] {
  const images: TokenImage[][] = Array.from(
    { length: source.vocabSize },
    () => [],
  );
  const isMapped = new Uint8Array(source.vocabSize);
  for (const { sourceId, ...image } of mapping) {
    checkId("source", sourceId, source);
    checkId("target", image.targetId, target);
    isMapped[sourceId] = 1;
    if (image.weight > 0) images[sourceId]!.push(image);
  }
  const missing = isMapped.indexOf(0);
  if (missing >= 0) {
    throw new RangeError(
      `Cannot align with the vocabulary mapping: it has no image of token ` +
        `${missing}, expected one of each of the ${source.vocabSize} of ` +
        source.directory,
    );
  }
  return images;
}

function checkId(
  role: string,
  id: number,
  { vocabSize, directory }: Tokenizer,
): void {
  if (id >= 0 && id < vocabSize) return;
  throw new RangeError(
    `Cannot align with the vocabulary mapping: it names ${role} token ${id}, ` +
      `expected ids below ${vocabSize}, as in ${directory}`,
  );
}

/** What tokens add to a text, at whose start or not. */
function heads(
  tokenBytes: readonly Uint8Array[],
  atStart: boolean,
): readonly Uint8Array[] {
  return atStart ? tokenBytes.map(withoutSpace) : tokenBytes;
}

function withoutSpace(bytes: Uint8Array): Uint8Array {
  return bytes[0] === SPACE ? bytes.subarray(1) : bytes;
}

function memoized<Value>(
  compute: (id: number) => Value,
): (id: number) => Value {
  const known = new Map<number, Value>();
  return (id) => {
    let value = known.get(id);
    if (value === undefined) known.set(id, value = compute(id));
    return value;
  };
}

/** A relation whose costs are in a table, but for exact images. */
class TableRelation implements TokenRelation {
  readonly images: TokenRelation["images"];
  readonly #table: CostTable;
  #targetIds: ArrayLike<number> = [];
  #count = 0;

  constructor(images: TokenRelation["images"], table: CostTable) {
    this.images = images;
    this.#table = table;
  }

  costs(
    sourceId: number,
    targetIds: ArrayLike<number>,
    into: Float32Array,
    first = 0,
  ): void {
    this.select(targetIds, targetIds.length);
    this.row(sourceId, into, first, Infinity);
  }

  select(targetIds: ArrayLike<number>, count: number): void {
    this.#targetIds = targetIds;
    this.#count = count;
    this.#table.select(targetIds, count);
  }

  row(
    sourceId: number,
    into: Float32Array,
    first: number,
    reach: number,
  ): void {
    const images = this.images(sourceId);
    let hasExact = false;
    for (let image = 0; image < images.length; image++) {
      hasExact ||= this.#exactSlot(images[image]!) >= 0;
    }
    // The least cost is known where it is that of an exact image.
    this.#table.row(sourceId, into, first, hasExact ? reach : Infinity);
    if (!hasExact) return;
    for (let image = 0; image < images.length; image++) {
      const slot = this.#exactSlot(images[image]!);
      if (slot >= 0) into[first + slot] = 0;
    }
  }

  #exactSlot({ targetId, distance }: TokenImage): number {
    if (distance > 0) return -1;
    for (let slot = 0; slot < this.#count; slot++) {
      if (this.#targetIds[slot] === targetId) return slot;
    }
    return -1;
  }
}
