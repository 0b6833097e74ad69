import type { VocabMappingRow } from "#/shards/mod.ts";
import type { ByteVocabulary } from "#/stages/byte_vocabulary.ts";
import type { MappingDefects } from "#/stages/map_vocab/reference/map_reference.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

/** A token of the target, and how a source token relates to it. */
export interface Image {
  /** The target's token. */
  targetId: number;
  /** How far apart the two are, in edits. */
  distance: number;
  /** Share of the source token's mass that goes here. */
  weight: number;
}

/** A flag that decides what comes out, where a method heeds it. */
export type MapSetting = "text" | "space" | "window" | "topK" | "reference";

/** What the flags say, where they say something. */
export interface MapSettings {
  /** Whether edits are of bytes or of characters. Defaults to `bytes`. */
  space?: "bytes" | "string";
  /** Tokens to either side that count as context. Defaults to 5. */
  window?: number;
  /** Images of a source token at most. Each method has its default. */
  topK?: number;
  /** Defects of the published mapping to reproduce. Defaults to all. */
  defects?: MappingDefects;
}

/** What there is to know about a method. */
export interface MapMethodFacts {
  /** What becomes of a token without an exact counterpart, in half a line. */
  description: string;
  /** Which flags it heeds; with `text`, it needs a corpus. */
  settings: readonly MapSetting[];
  /** Whether it writes text by the tokenizers; with `text`, it always does. */
  needsEncoder?: boolean;
}

/** A method for the tokens whose bytes no token of the target has. */
export interface TokenMethod extends MapMethodFacts {
  /** What it does. */
  tokens: (inputs: MapInputs, settings: MapSettings) => TokenMapper;
}

/** A method that maps the exact and the special ones in its own way, too. */
export interface VocabularyMethod extends MapMethodFacts {
  /** What it does. */
  vocabulary: (
    target: Tokenizer,
    source: Tokenizer,
    settings: MapSettings,
  ) => VocabularyMapper;
}

/** Maps a whole vocabulary, after all texts are read. */
export interface VocabularyMapper extends Iterable<VocabMappingRow> {
  /**
   * Take note of a text of the corpus, for methods that need one.
   *
   * @param text A text.
   */
  read?(text: string): void;
}

/** A way to map a vocabulary to another. */
export type MapMethod = TokenMethod | VocabularyMethod;

/** What is mapped to what. */
export interface MapInputs {
  /** The target's tokenizer. */
  target: Tokenizer;
  /** The source's tokenizer. */
  source: Tokenizer;
  /** The target's tokens by bytes. */
  vocabulary: ByteVocabulary;
  /** Source tokens that have bytes, but no exact counterpart, ascending. */
  inexact: readonly number[];
}

/** Maps the tokens whose bytes no token of the target has. */
export interface TokenMapper {
  /**
   * Take note of a text of the corpus, for methods that need one.
   *
   * @param text A text.
   */
  read?(text: string): void;
  /**
   * Map a token, after all texts are read.
   *
   * @param sourceId One of the tokens without an exact counterpart.
   * @returns Images, whose weights sum to at most 1; none if there is nothing
   * to go to.
   */
  images(sourceId: number): readonly Image[];
  /**
   * Start threads that map tokens, where that takes long.
   *
   * @param count How many.
   * @returns What maps tokens there.
   */
  startWorkers?(count: number): TokenWorkers;
}

/** Maps tokens in other threads. */
export interface TokenWorkers extends Disposable {
  /**
   * Map tokens as {@linkcode TokenMapper.images} does.
   *
   * @param sourceIds Tokens without an exact counterpart.
   * @returns The images of each.
   */
  images(sourceIds: readonly number[]): Promise<(readonly Image[])[]>;
}
