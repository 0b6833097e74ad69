import type { NearestBytes } from "#/kernels/mod.ts";

/** What a source token may be mapped to. */
export interface TargetVocabulary {
  /** Ids of tokens that stand for bytes, ascending, one per byte string. */
  ids: Int32Array;
  /** The byte strings of these ids, in the same order. */
  nearest: NearestBytes;
}

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
  target: TargetVocabulary,
) => readonly Image[];
