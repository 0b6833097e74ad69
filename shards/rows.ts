/** One block of a document; see `split`. */
export interface TextRow {
  /** Unique in the dataset. */
  id: string;
  /** Id of the document the block was cut from. */
  document: string;
  /** Which block of its document this is, from 0. */
  block: number;
  /** Whether no block of the document follows. */
  last: boolean;
  /** The block: the blocks of a document concatenate to it. */
  text: string;
}

/** What a model predicts at every position of one block; T positions, top K. */
export interface RepresentationRow {
  /** Id of the text row. */
  id: string;
  /** Hash of the block's text. */
  textHash: string;
  /** Tokens, `[T]`, a leading BOS and a last block's trailing EOS included. */
  inputIds: Int32Array;
  /** UTF-8 byte offset in the text after each token, `[T]`. */
  byteEnds: Int32Array;
  /** K. */
  topK: number;
  /** Best ids of every row, `[T, K]`, padded with −1. */
  topkIds: Int32Array;
  /** Their logprobs over the whole vocabulary, `[T, K]`, padded with −∞; stored as f16. */
  topkLogprobs: Float32Array;
  /** Logprob of `inputIds[t + 1]` at row t, `[T]`; NaN on the last row. */
  labelLogprobs: Float32Array;
  /** Bits per byte of the whole block. */
  bitsPerByte: number;
}

/** One image of a source token in the target's vocabulary. */
export interface VocabMappingRow {
  /** The source token. */
  sourceId: number;
  /** One of its images. */
  targetId: number;
  /** How far apart the two are; the method says in what. */
  distance: number;
  /** Share of the source token's mass that goes to this image. */
  weight: number;
}

/** A source's distributions over the target's vocabulary, at the target's T positions. */
export interface AlignedRow {
  /** Id of the target's representation row. */
  id: string;
  /** K. */
  topK: number;
  /** Best target ids of every row, `[T, K]`, padded with −1. */
  topkIds: Int32Array;
  /** Their logprobs, `[T, K]`, padded with −∞; stored as f16. */
  topkLogprobs: Float32Array;
  /** 0 where no position pair faces the row, `[T]`. */
  weight: Float32Array;
  /** L1 marginal error of the row's transport, `[T]`. */
  marginalError: Float32Array;
  /** The source's logprob of the bytes from this pair to the next, `[T]`; NaN elsewhere. */
  labelLogprobs: Float32Array;
  /** The source's bits per byte of the whole block. */
  bitsPerByte: number;
}

/** What one teacher says about one packed row of L positions. */
export interface PackedTeacher {
  /** K. */
  topK: number;
  /** Best ids of every position, `[L, K]`, padded with −1. */
  topkIds: Int32Array;
  /** Their logprobs, `[L, K]`, padded with −∞; stored as f16. */
  topkLogprobs: Float32Array;
  /** 0 where the teacher says nothing, `[L]`. */
  weight: Float32Array;
  /** Bits per byte of the block each position belongs to, `[L]`; 0 on padding. */
  bitsPerByte: Float32Array;
  /**
   * The teacher's logprob of the bytes from this position to the next at which
   * it says something, `[L]`; NaN elsewhere. Datasets of earlier versions do not
   * have it.
   */
  labelLogprobs?: Float32Array;
  /**
   * The teacher's mean loss on the block each position belongs to, by its own
   * tokens, `[L]`; 0 on padding. There where `pack` was asked for it.
   */
  natsPerToken?: Float32Array;
}

/** One training row of L positions. */
export interface PackedRow {
  /** Tokens, `[L]`; 0 on padding. */
  inputIds: Int32Array;
  /** The next token of the same document, `[L]`; −100 where there is none. */
  labels: Int32Array;
  /** Which block of the row each position belongs to, `[L]`; −1 on padding. */
  document: Int32Array;
  /** Position within the block, `[L]`; 0 on padding. */
  position: Int32Array;
  /** By name: `target`, and each source. */
  teachers: Record<string, PackedTeacher>;
}
