import { editDistance } from "#/kernels/mod.ts";
import { NearestStrings } from "#/kernels/edit_distance/nearest_strings.ts";

/** A character that stands for a space at the head of a word. */
export type WordMarker = "▁" | "Ġ";

/** A vocabulary as the published code sees it. */
export interface SpelledVocabulary {
  /** Spelling of every id, as in tokenizer.json; empty for holes. */
  tokens: readonly (string | undefined)[];
  /** Bytes every id stands for; only corrected steps look at them. */
  tokenBytes: readonly (Uint8Array | undefined)[];
  /** Defaults to the one with which more tokens begin. */
  marker?: WordMarker;
}

/** Cost between a special token and whatever is not its image, in edits. */
const FOREIGN = 16;

const NO_BYTES = new Uint8Array(0);

/** How the tokens of two vocabularies relate by their spelling. */
export class SpellingRelation {
  /** The target's word marker. */
  readonly targetMarker: WordMarker;
  /** The source's. */
  readonly sourceMarker: WordMarker;
  readonly #target: SpelledVocabulary;
  readonly #source: SpelledVocabulary;
  readonly #mapping: ReadonlyMap<string, string>;
  readonly #ids = new Map<string, number>();

  /**
   * Prepare.
   *
   * @param target The target's vocabulary.
   * @param source The source's.
   * @param mapping Target spelling of every source spelling, the latter with the target's
   * marker in place of its own; what it lacks has no image. Exact matches alone
   * need none.
   */
  constructor(
    target: SpelledVocabulary,
    source: SpelledVocabulary,
    mapping: ReadonlyMap<string, string> = new Map(),
  ) {
    this.targetMarker = target.marker ?? wordMarker(target.tokens);
    this.sourceMarker = source.marker ?? wordMarker(source.tokens);
    this.#target = target;
    this.#source = source;
    this.#mapping = mapping;
    target.tokens.forEach((token, id) => {
      if (token && !this.#ids.has(token)) this.#ids.set(token, id);
    });
  }

  /** Tokens of the target. */
  get targetSize(): number {
    return this.#target.tokens.length;
  }

  /**
   * Spell a target token.
   *
   * @param id The token.
   * @returns As in tokenizer.json.
   */
  targetSpelling(id: number): string {
    return this.#target.tokens[id] ?? "";
  }

  /**
   * Spell a source token.
   *
   * @param id The token.
   * @returns As in tokenizer.json.
   */
  sourceSpelling(id: number): string {
    return this.#source.tokens[id] ?? "";
  }

  /**
   * Spell a source token with the target's marker.
   *
   * @param id The token.
   * @returns What the target might call it.
   */
  respelled(id: number): string {
    return this.sourceSpelling(id)
      .replaceAll(this.sourceMarker, this.targetMarker);
  }

  /**
   * Tell whether two tokens count as the same.
   *
   * @param spelling A source token, respelled.
   * @param targetId A target token.
   * @param soft Whether the mapping may say so, too.
   * @returns If so.
   */
  matches(spelling: string, targetId: number, soft: boolean): boolean {
    const wanted = this.targetSpelling(targetId);
    return spelling === wanted ||
      (soft && this.#mapping.get(spelling) === wanted);
  }

  /**
   * Find the image of a source token.
   *
   * @param id The token.
   * @param soft Whether to ask the mapping; else only the same spelling will do.
   * @returns A target token, if there is one.
   */
  image(id: number, soft: boolean): number | undefined {
    const spelling = this.respelled(id);
    const mapped = soft ? this.#mapping.get(spelling) : spelling;
    return mapped === undefined ? undefined : this.#ids.get(mapped);
  }

  /**
   * Costs of the published code: edit distance of spellings, in code points, the
   * source's marker deleted from rows and the target's from columns.
   *
   * @param rows Spellings.
   * @param targetIds Columns.
   * @returns C, `[N, M]`.
   */
  strippedCosts(
    rows: readonly string[],
    targetIds: readonly number[],
  ): Float64Array {
    const columns = new NearestStrings(
      targetIds.map((id) =>
        this.targetSpelling(id).replaceAll(this.targetMarker, "")
      ),
    );
    const cost = new Float64Array(rows.length * targetIds.length);
    rows.forEach((row, i) => {
      const bare = row.replaceAll(this.sourceMarker, "");
      cost.set(columns.distances(bare), i * targetIds.length);
    });
    return cost;
  }

  /**
   * Costs over bytes: 0 to an exact image only, else at least 1.
   *
   * @param rows Tokens with their images.
   * @param targetIds Columns.
   * @param mapped Whether rows are compared as their images.
   * @returns C, `[N, M]`, in edits.
   */
  byteCosts(
    rows: readonly { id: number; image: number }[],
    targetIds: readonly number[],
    mapped: boolean,
  ): Float64Array {
    const [ours, theirs] = [this.#target.tokenBytes, this.#source.tokenBytes];
    return Float64Array.from(
      { length: rows.length * targetIds.length },
      (_, k) => {
        const { id, image } = rows[Math.floor(k / targetIds.length)]!;
        const column = targetIds[k % targetIds.length]!;
        const from = (mapped ? ours[image] : theirs[id]) ?? NO_BYTES;
        const to = ours[column] ?? NO_BYTES;
        const isSpecial = from.length === 0 || to.length === 0;
        if (isSpecial) return image === column ? 0 : FOREIGN;
        const distance = editDistance(from, to);
        return image === column ? distance : Math.max(1, distance);
      },
    );
  }
}

/**
 * Tell the word marker of a vocabulary.
 *
 * @param tokens Its spellings.
 * @returns The one with which more tokens begin.
 */
export function wordMarker(
  tokens: readonly (string | undefined)[],
): WordMarker {
  const count = (marker: WordMarker) =>
    tokens.filter((token) => token?.startsWith(marker)).length;
  return count("Ġ") > count("▁") ? "Ġ" : "▁";
}
