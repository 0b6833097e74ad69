import type { RepresentationRow } from "#/shards/mod.ts";
import { KnownPieces } from "./known_pieces.ts";
import { MassTable } from "./methods/mass_table.ts";
import type { MappedVocabularies, Masses } from "./methods/method.ts";
import { positionPairs } from "./position_pairs.ts";
import { SourceTail } from "./source_tail.ts";
import { startRows } from "./token_relations.ts";

const SPACE = 0x20;

/** Source tokens of a chunk that are followed: two tokenizers may never meet. */
const MOST_FOLLOWED = 16;

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
  /** Pieces that a row has room for. */
  most: number;
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

/** What of a tail agrees with what was read, and how some of it goes on. */
interface Hidden {
  mass: number;
  next: readonly (readonly [piece: number, mass: number])[];
}

/** What the source expects from the start of a chunk on. */
interface Expected {
  /** The bytes that it reads. */
  bytes: Uint8Array;
  /** How many of them were followed. */
  followed: number;
  continuations: Continuation[];
  tails: Tail[];
}

/** Reads how a source expects a text to go on, in a target's tokens. */
export class ContinuationReader {
  readonly #vocabularies: MappedVocabularies;
  /** The target's token of the same bytes or role, by source token, or −1. */
  readonly #exact: Int32Array;
  readonly #pieces: KnownPieces;
  readonly #tail: SourceTail;

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
    this.#tail = new SourceTail(
      source,
      this.#pieces,
      (id) => this.#exact[id]! >= 0,
    );
  }

  /**
   * Read a block.
   *
   * @param targetRow What the target reads.
   * @param sourceRow What the source expects of the same text.
   * @param most How many pieces a row has room for: guesses from the tail take
   * what is left.
   * @returns Rows of the target, ascending, and what to expect there.
   */
  *read(
    targetRow: RepresentationRow,
    sourceRow: RepresentationRow,
    most: number,
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
        most,
      });
    }
  }

  *#readChunk(chunk: Chunk): Generator<{ t: number; masses: Masses }> {
    const { targetRow: { inputIds, byteEnds }, target: [first, end] } = chunk;
    const expected = this.#expected(chunk);
    if (!expected) return;
    const { bytes, followed, tails } = expected;
    const virtual = bytes.length - (byteEnds[end]! - byteEnds[first]!);
    // A tokenizer that changes its text does not say which bytes a row has read.
    const follows = virtual === (chunk.starts.source ? 1 : 0);
    let agreeing = expected.continuations;
    for (let t = first; t < (follows ? end : first + 1); t++) {
      const reached = virtual + byteEnds[t + 1]! - byteEnds[first]!;
      if (follows && reached > followed) return;
      const read = inputIds.subarray(first + 1, t + 1);
      if (read.length > 0) {
        const [at, label] = [read.length - 1, read.at(-1)];
        agreeing = agreeing.filter(({ pieces }) => pieces[at] === label);
      }
      const seen = bytes.subarray(
        0,
        read.length && virtual + byteEnds[t]! - byteEnds[first]!,
      );
      const hidden = tails.map((tail) => this.#hidden(tail, seen, read, chunk));
      const pieces = nextPieces(agreeing, hidden, read.length, chunk.most);
      yield { t, masses: pieces };
    }
  }

  /** What of a tail agrees with what was read. */
  #hidden(
    { after, mass }: Tail,
    seen: Uint8Array,
    read: Int32Array,
    { starts }: Chunk,
  ): Hidden {
    if (after === 0 && starts.target === starts.source) {
      const { share, next } = this.#tail.after(seen, read);
      return {
        mass: mass * share,
        next: next.map(([piece, share]) => [piece, mass * share]),
      };
    }
    if (seen.length <= after) return { mass, next: [] };
    return { mass: mass * this.#tail.shareOf(seen.subarray(after)), next: [] };
  }

  /** Follow what the source reads, and collect what else it expects. */
  #expected(chunk: Chunk): Expected | undefined {
    const { sourceRow, source: [first, end], targetRow, target } = chunk;
    const continuations: Continuation[] = [];
    const tails: Tail[] = [];
    let [bytes, mass] = [new Uint8Array(), 1];
    let followed: number | undefined;
    for (let s = first; s < end; s++) {
      if (s - first === MOST_FOLLOWED) followed = bytes.length;
      if (followed !== undefined) {
        bytes = joined(bytes, this.#bytesOf(sourceRow.inputIds[s + 1]!));
        continue;
      }
      const next = new NextTokens(sourceRow, s);
      if (s === first && !next.isTold) return undefined;
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
    return { bytes, followed: followed ?? bytes.length, continuations, tails };
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
  /** Whether anything is stored. */
  readonly isTold: boolean;
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
    this.isTold = read !== undefined || this.others.length > 0;
    const below = this.isTold
      ? Math.min(Math.exp(labelLogprobs[s]!), least, rest)
      : 0;
    this.tail = read === undefined ? rest - below : rest;
    this.read = { id: label, probability: read ?? below };
  }
}

/** The next piece of what agrees, as a share of it. */
function nextPieces(
  agreeing: readonly Continuation[],
  hidden: readonly Hidden[],
  read: number,
  most: number,
): Masses {
  const all = read > 0 ? sumOf(agreeing) + sumOf(hidden) : 1;
  const table = new MassTable();
  // Nothing is left of what the source thought possible.
  if (!(all > 0)) return table;
  for (const { pieces, mass } of agreeing) {
    // Of what ends here it is not known how it goes on.
    if (read < pieces.length) table.add(pieces[read]!, mass / all);
  }
  for (const { next } of hidden) {
    for (const [piece, mass] of next) {
      const hasRoom = table.length < most || table.slotOf(piece) >= 0;
      if (hasRoom) table.add(piece, mass / all);
    }
  }
  return table;
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
