import { mapVocab } from "#/stages/map_vocab/map_vocab.ts";
import type { RepresentationRow, VocabMappingRow } from "#/shards/mod.ts";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer, type Tokenizer } from "#/tokenizers/mod.ts";
import { blocks, countedRepresentations } from "#/bench/texts.ts";

/** What is aligned: a target of 32,000 tokens and a source of 50,257. */
export interface AlignedPair {
  /** The target's tokenizer. */
  target: Tokenizer;
  /** The source's. */
  source: Tokenizer;
  /** What the target says about every block. */
  targetRows: RepresentationRow[];
  /** What the source says. */
  sourceRows: RepresentationRow[];
  /** Images of the source's tokens. */
  mapping: VocabMappingRow[];
}

/**
 * Two real tokenizers and what counted models with them say, top-10, about
 * blocks of about 2048 tokens.
 *
 * @param count Blocks.
 * @returns The pair.
 */
export async function alignedPair(count: number): Promise<AlignedPair> {
  const target = await loadTokenizer(await realTokenizer("llama2"));
  const source = await loadTokenizer(await realTokenizer("gpt2"));
  const texts = await blocks(7600, count);
  return {
    target,
    source,
    targetRows: countedRepresentations(target, texts, 10),
    sourceRows: countedRepresentations(source, texts, 10),
    mapping: [...mapVocab(target, source)],
  };
}

/** A block as the reference's loops take it: without BOS. */
export interface PeerSteps {
  /** Tokens. */
  ids: number[];
  /** Best tokens of every row. */
  topk_ids: number[][];
  /** Their logits, up to a constant. */
  topk_logits: number[][];
}

/**
 * Cut BOS off, as the published code knows none.
 *
 * @param row A block.
 * @returns Its rows; each predicts the token after it.
 */
export function peerSteps(
  { inputIds, topK, topkIds, topkLogprobs }: RepresentationRow,
): PeerSteps {
  const rows = <Values extends Int32Array | Float32Array>(values: Values) =>
    Array.from({ length: inputIds.length - 1 }, (_, t) => [
      ...values.subarray((t + 1) * topK, (t + 2) * topK),
    ]);
  return {
    ids: [...inputIds.subarray(1)],
    topk_ids: rows(topkIds),
    topk_logits: rows(topkLogprobs),
  };
}
