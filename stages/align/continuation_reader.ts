import type { RepresentationRow } from "#/shards/mod.ts";
import { KnownPieces } from "./known_pieces.ts";
import {
  type MappedVocabularies,
  type Masses,
  MassTable,
} from "./methods/method.ts";
import { positionPairs } from "./position_pairs.ts";
import { PrefixShares } from "./prefix_shares.ts";
import { startRows } from "./token_relations.ts";

const SPACE = 0x20;

/** Rows of both models between two bytes where both tokenizers stand. */
interface Chunk {
  targetRow: RepresentationRow;
  sourceRow: RepresentationRow;
  /** First row of the target, and the one after its last. */
  target: readonly [first: number, end: number];
  /** The same of the source. */
  source: readonly [first: number, end: number];
  /** Which of the two predicts a token with a virtual space at first. */
  starts: { target: boolean; source: boolean };
}

/** A way in which the text may go on from a chunk's first byte. */
interface Continuation {
  /** As the target writes it. */
  pieces: ArrayLike<number>;
  /** How probable the source finds it. */
  mass: number;
}

/** Mass of which it is known only after what it comes. */
interface Tail {
  /** Bytes of the chunk before it. */
  after: number;
  mass: number;
}

/** What the source expects from the start of a chunk on. */
interface Expected {
  /** The bytes that it reads. */
  bytes: Uint8Array;
  continuations: Continuation[];
  tails: Tail[];
}

/** Reads how a source expects a text to go on, in a target's tokens. */
export class ContinuationReader {
  readonly #vocabularies: MappedVocabularies;
  /** The target's token of the same bytes or role, by source token, or −1. */
  readonly #exact: Int32Array;
  readonly #pieces: KnownPieces;
  readonly #shares: PrefixShares;

  /**
   * Prepare.
   *
   * @param vocabularies The two vocabularies, and which tokens are the same.
   */
  constructor(vocabularies: MappedVocabularies) {
    const { target, source, mapping } = vocabularies;
    this.#vocabularies = vocabularies;
    this.#exact = new Int32Array(source.vocabSize).fill(-1);
    for (const { sourceId, targetId, distance } of mapping) {
      if (distance === 0) this.#exact[sourceId] = targetId;
    }
    this.#pieces = new KnownPieces(target);
    this.#shares = new PrefixShares(source);
  }

  /**
   * Read a block.
   *
   * @param targetRow What the target reads.
   * @param sourceRow What the source expects of the same text.
   * @returns Rows of the target, ascending, and what to expect there.
   */
  *read(
    targetRow: RepresentationRow,
    sourceRow: RepresentationRow,
  ): Generator<{ t: number; masses: Masses }> {
    const { target, source } = this.#vocabularies;
    const ours = startRows(target, targetRow.inputIds, targetRow.byteEnds);
    const theirs = startRows(source, sourceRow.inputIds, sourceRow.byteEnds);
    const pairs = positionPairs(targetRow.byteEnds, sourceRow.byteEnds);
    const [n, m] = [targetRow, sourceRow].map(({ inputIds }) =>
      inputIds.length - 1
    );
    for (let k = 0; k < pairs.target.length; k++) {
      const [t, s] = [pairs.target[k]!, pairs.source[k]!];
      yield* this.#readChunk({
        targetRow,
        sourceRow,
        target: [t, pairs.target[k + 1] ?? n!],
        source: [s, pairs.source[k + 1] ?? m!],
        starts: { target: t < ours, source: s < theirs },
      });
    }
  }

  *#readChunk(chunk: Chunk): Generator<{ t: number; masses: Masses }> {
    const { targetRow: { inputIds, byteEnds }, target: [first, end] } = chunk;
    const { bytes, continuations, tails } = this.#expected(chunk);
    const hidden = bytes.length - (byteEnds[end]! - byteEnds[first]!);
    // A tokenizer that changes its text does not say which bytes a row has read.
    const follows = hidden === (chunk.starts.source ? 1 : 0);
    let agreeing = continuations;
    for (let t = first; t < (follows ? end : first + 1); t++) {
      const read = t - first;
      if (read > 0) {
        const label = inputIds[t]!;
        agreeing = agreeing.filter(({ pieces }) => pieces[read - 1] === label);
      }
      const seen = read && hidden + byteEnds[t]! - byteEnds[first]!;
      const all = read === 0 ? 1 : sumOf(agreeing) +
        sumOf(tails.map((tail) => this.#agreeing(tail, bytes, seen)));
      yield { t, masses: nextPieces(agreeing, read, all) };
    }
  }

  /** How much of a tail agrees with the bytes seen. */
  #agreeing({ after, mass }: Tail, bytes: Uint8Array, seen: number): Tail {
    if (seen <= after) return { after, mass };
    const share = this.#shares.of(bytes.subarray(after, seen));
    return { after, mass: mass * share };
  }

  /** Follow what the source reads, and collect what else it expects. */
  #expected(chunk: Chunk): Expected {
    const { sourceRow, source: [first, end], targetRow, target } = chunk;
    const continuations: Continuation[] = [];
    const tails: Tail[] = [];
    let [bytes, mass] = [new Uint8Array(), 1];
    for (let s = first; s < end; s++) {
      const next = new NextTokens(sourceRow, s);
      next.others.forEach(({ id, probability }) => {
        const pieces = this.#write(bytes, id, chunk);
        continuations.push({ pieces, mass: mass * probability });
      });
      tails.push({ after: bytes.length, mass: mass * next.tail });
      bytes = joined(bytes, this.#bytesOf(next.read.id));
      mass *= next.read.probability;
    }
    const pieces = targetRow.inputIds.subarray(target[0] + 1, target[1] + 1);
    continuations.push({ pieces, mass });
    return { bytes, continuations, tails };
  }

  #write(
    before: Uint8Array,
    id: number,
    { starts }: Chunk,
  ): readonly number[] {
    const isAlone = before.length === 0 && starts.target === starts.source;
    if (isAlone && this.#exact[id]! >= 0) return [this.#exact[id]!];
    const bytes = joined(before, this.#bytesOf(id));
    if (starts.target === starts.source) return this.#pieces.of(bytes);
    if (starts.target) {
      return this.#pieces.of(joined(Uint8Array.of(SPACE), bytes));
    }
    return this.#pieces.of(bytes[0] === SPACE ? bytes.subarray(1) : bytes);
  }

  #bytesOf(sourceId: number): Uint8Array {
    return this.#vocabularies.source.tokenBytes[sourceId]!;
  }
}

/** What a source expects at one of its rows. */
class NextTokens {
  /** The token that it reads. */
  readonly read: { id: number; probability: number };
  /** The others of the top k. */
  readonly others: { id: number; probability: number }[] = [];
  /** What is left. */
  readonly tail: number;

  constructor(
    { topK, topkIds, topkLogprobs, inputIds, labelLogprobs }: RepresentationRow,
    s: number,
  ) {
    const label = inputIds[s + 1]!;
    let read: number | undefined;
    let [rest, least] = [1, 1];
    for (let k = s * topK; k < (s + 1) * topK; k++) {
      const id = topkIds[k]!;
      if (id < 0) continue;
      const probability = Math.exp(topkLogprobs[k]!);
      rest -= probability;
      least = Math.min(least, probability);
      if (id === label) read = probability;
      else this.others.push({ id, probability });
    }
    rest = Math.max(rest, 0);
    // Not among the top k: no more than the least of them, which is rounded.
    const below = this.others.length > 0
      ? Math.min(Math.exp(labelLogprobs[s]!), least, rest)
      : 0;
    this.tail = read === undefined ? rest - below : rest;
    this.read = { id: label, probability: read ?? below };
  }
}

function nextPieces(
  agreeing: readonly Continuation[],
  read: number,
  all: number,
): Masses {
  const table = new MassTable();
  for (const { pieces, mass } of agreeing) {
    // Of what ends here it is not known how it goes on.
    if (read < pieces.length) table.add(pieces[read]!, mass / all);
  }
  return { ids: table.ids, masses: table.masses, marginalError: 0 };
}

function sumOf(parts: readonly { mass: number }[]): number {
  return parts.reduce((sum, { mass }) => sum + mass, 0);
}

function joined(first: Uint8Array, then: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(first.length + then.length);
  bytes.set(first);
  bytes.set(then, first.length);
  return bytes;
}
