import type { VocabMappingRow } from "#/shards/mod.ts";
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
import { ImageTable } from "./image_table.ts";
import { NearestTokens } from "./nearest_tokens.ts";
import {
  type RelationImages,
  TableRelation,
  type TokenImage,
  type TokenRelation,
} from "./token_relation.ts";

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
  readonly #images: ImageTable;
  readonly #relations = new Map<string, TokenRelation>();
  readonly #cost: TokenCost;
  readonly #countsEdits: boolean;
  #nearest: NearestTokens | undefined;

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
    this.#images = new ImageTable(mapping, target, source);
  }

  /** Images of a source token at most. */
  get mostImages(): number {
    return Math.max(1, this.#images.most);
  }

  /**
   * Tell whether a source token has an exact counterpart.
   *
   * @param sourceId The source's token.
   * @returns Whether one of its images is at distance 0.
   */
  hasExactImage(sourceId: number): boolean {
    return this.#images.hasExact(sourceId);
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
      isSame ? this.#images : {
        images: memoized((sourceId) =>
          this.#imagesAtStart(sourceId, targetStarts)
        ),
        exactImage: () => -1,
      },
      targetStarts && !isSame,
      sourceStarts && !isSame,
    );
    this.#relations.set(key, relation);
    return relation;
  }

  #relation(
    images: RelationImages,
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

  #imagesAtStart(
    sourceId: number,
    targetStarts: boolean,
  ): readonly TokenImage[] {
    const bytes = this.#source.tokenBytes[sourceId]!;
    if (bytes.length === 0) return this.#images.images(sourceId);
    const wanted = targetStarts
      ? Uint8Array.of(SPACE, ...bytes)
      : withoutSpace(bytes);
    if (wanted.length === 0) return [];
    this.#nearest ??= new NearestTokens(this.#target);
    const most = this.#images.mapsInexact ? Infinity : 0;
    const image = this.#nearest.find(wanted, most);
    return image ? [{ ...image, weight: 1 }] : [];
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
