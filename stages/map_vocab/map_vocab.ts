import { bytesKey } from "#/kernels/mod.ts";
import type { VocabMappingRow } from "#/shards/mod.ts";
import {
  type ByteVocabulary,
  byteVocabulary,
} from "#/stages/byte_vocabulary.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { mappedRows, rowsInWorkers } from "./mapped_rows.ts";
import {
  type MapMethod,
  type MapMethodName,
  type MapSettings,
  methods,
  type TokenMapper,
} from "./methods/mod.ts";
import { specialImages } from "./special_images.ts";

/** How to map. */
export interface MapVocabOptions extends MapSettings {
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
 * its own spelling: the target never writes it. The method `reference` does all
 * of it in the published way.
 *
 * @param target The target's tokenizer.
 * @param source The source's tokenizer.
 * @param options See {@linkcode MapVocabOptions}.
 * @param texts A corpus, for methods that need one.
 * @returns The images of every source id, ascending; at least one each.
 * @throws {RangeError} If no token of the target stands for bytes, or the
 * method lacks a corpus.
 */
export function* mapVocab(
  target: Tokenizer,
  source: Tokenizer,
  options: MapVocabOptions = {},
  texts: Iterable<string> = [],
): Generator<VocabMappingRow> {
  const mapper = new VocabMapper(target, source, options);
  for (const text of texts) mapper.read(text);
  yield* mapper.rows();
}

/** What {@linkcode mapVocab} does, step by step, for a corpus that is a stream. */
export class VocabMapper {
  readonly #name: MapMethodName;
  readonly #method: MapMethod;
  readonly #rows: () => Iterable<VocabMappingRow>;
  readonly #rowsBy: (
    workers: number,
  ) => AsyncIterable<VocabMappingRow> | undefined;
  readonly #mapper: Pick<TokenMapper, "read">;
  #texts = 0;

  /**
   * Prepare.
   *
   * @param target The target's tokenizer.
   * @param source The source's tokenizer.
   * @param options See {@linkcode MapVocabOptions}.
   * @throws {RangeError} If no token of the target stands for bytes.
   */
  constructor(
    target: Tokenizer,
    source: Tokenizer,
    { method = "min-edit-distance", ...settings }: MapVocabOptions = {},
  ) {
    this.#name = method;
    this.#method = methods[method];
    if ("vocabulary" in this.#method) {
      const mapper = this.#method.vocabulary(target, source, settings);
      this.#rows = () => mapper;
      this.#rowsBy = () => undefined;
      this.#mapper = mapper;
      return;
    }
    const exact = exactImages(target, source);
    const inexact = inexactTokens(source, exact);
    const inputs = { target, source, vocabulary: exact.vocabulary, inexact };
    const mapper = this.#method.tokens(inputs, settings);
    const vocabularies = { target, source, exact: exact.images };
    this.#rows = () => mappedRows(vocabularies, (id) => mapper.images(id));
    this.#rowsBy = (workers) =>
      workers > 1 && mapper.startWorkers
        ? rowsInWorkers(vocabularies, inexact, mapper.startWorkers, workers)
        : undefined;
    this.#mapper = mapper;
  }

  /**
   * Take note of a text, for methods that need a corpus.
   *
   * @param text A text.
   */
  read(text: string): void {
    this.#mapper.read?.(text);
    this.#texts++;
  }

  /**
   * Map, after all texts are read.
   *
   * @returns The images of every source id, ascending; at least one each.
   * @throws {RangeError} If the method lacks a corpus.
   */
  rows(): Iterable<VocabMappingRow> {
    this.#check();
    return this.#rows();
  }

  /**
   * Map as {@linkcode rows} does, in workers where the method takes long.
   *
   * @param workers How many; one is this thread.
   * @returns The same images in the same order.
   * @throws {RangeError} If the method lacks a corpus.
   */
  rowsBy(
    workers: number,
  ): AsyncIterable<VocabMappingRow> | Iterable<VocabMappingRow> {
    this.#check();
    return this.#rowsBy(workers) ?? this.#rows();
  }

  #check(): void {
    if (this.#method.settings.includes("text") && this.#texts === 0) {
      throw new RangeError(
        `Cannot map by ${this.#name}: there is no text, expected a corpus ` +
          `(--text) of at least one block`,
      );
    }
  }
}

/** Where the tokens go that have an exact counterpart, and the target's tokens by bytes. */
interface ExactImages {
  images: ReadonlyMap<number, number>;
  vocabulary: ByteVocabulary;
}

function exactImages(target: Tokenizer, source: Tokenizer): ExactImages {
  const vocabulary = byteVocabulary(target);
  const bySpelling = new Map<string, number>();
  target.tokens.forEach((token, id) => {
    if (token !== "" && !bySpelling.has(token)) bySpelling.set(token, id);
  });
  const images = new Map(specialImages(target, source));
  for (let sourceId = 0; sourceId < source.vocabSize; sourceId++) {
    if (images.has(sourceId)) continue;
    const bytes = bytesOf(source, sourceId);
    const spelled = bySpelling.get(source.tokens[sourceId] ?? "");
    const image = exactImage(bytes, spelled, target, vocabulary);
    if (image !== undefined) images.set(sourceId, image);
  }
  return { images, vocabulary };
}

function inexactTokens(source: Tokenizer, { images }: ExactImages): number[] {
  const inexact: number[] = [];
  for (let id = 0; id < source.vocabSize; id++) {
    if (images.has(id) || bytesOf(source, id).length === 0) continue;
    inexact.push(id);
  }
  return inexact;
}

function bytesOf({ tokenBytes }: Tokenizer, id: number): Uint8Array {
  return tokenBytes[id] ?? new Uint8Array(0);
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
