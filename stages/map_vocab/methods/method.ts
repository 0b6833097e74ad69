import type { ByteVocabulary } from "#/stages/byte_vocabulary.ts";

/** A token of the target, and how a source token relates to it. */
export interface Image {
  /** The target's token. */
  targetId: number;
  /** How far apart the two are, in edits. */
  distance: number;
  /** Share of the source token's mass that goes here. */
  weight: number;
}

/**
 * Maps a token whose bytes no token of the target has.
 *
 * @param bytes What the source token stands for, at least one byte.
 * @param target The target's vocabulary.
 * @returns At least one image; weights sum to at most 1.
 */
export type MapMethod = (
  bytes: Uint8Array,
  target: ByteVocabulary,
) => readonly Image[];
