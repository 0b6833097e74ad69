/**
 * Trains the demo's three tokenizers on its corpus. The target's is SentencePiece-like, of the novel mostly; the sources' are byte-level with
 * two different ideas of a word, so that the three cut the same text
 * differently. Takes seconds, and gives the same bytes every time.
 *
 * @module
 */
import { saveTokenizer, trainTokenizer } from "#/tools/bpe_trainer.ts";
import type { TrainerOptions } from "#/tools/bpe_trainer.ts";

/** What a tokenizer learns on: a split, up to so many bytes, so many times. */
interface Portion {
  path: string;
  bytes: number;
  times: number;
}

/** How a tokenizer is made. */
interface TokenizerPlan {
  options: TrainerOptions;
  portions: Portion[];
}

/** The demo's tokenizers. */
export const TOKENIZERS: Record<string, TokenizerPlan> = {
  target: {
    options: { kind: "sentencepiece", vocabSize: 8192 },
    portions: [
      { path: "novel/target-train", bytes: Infinity, times: 2 },
      { path: "speeches/source-train", bytes: 1_000_000, times: 1 },
      { path: "code/source-train", bytes: 600_000, times: 1 },
    ],
  },
  speeches: {
    options: { kind: "byte-level", vocabSize: 6000, words: "gpt2" },
    portions: [
      { path: "speeches/source-train", bytes: Infinity, times: 1 },
      { path: "code/source-train", bytes: 300_000, times: 1 },
    ],
  },
  code: {
    options: { kind: "byte-level", vocabSize: 5000, words: "llama3" },
    portions: [
      { path: "code/source-train", bytes: Infinity, times: 1 },
      { path: "speeches/source-train", bytes: 300_000, times: 1 },
    ],
  },
};

async function readPortion({ path, bytes, times }: Portion, corpus: string) {
  const lines = (await Deno.readTextFile(`${corpus}/${path}.jsonl`)).split(
    "\n",
  );
  const texts: string[] = [];
  for (let size = 0; size < bytes && lines.length > 1;) {
    const { text } = JSON.parse(lines.shift()!) as { text: string };
    texts.push(text);
    size += text.length;
  }
  return Array.from({ length: times }, () => texts).flat();
}

/**
 * Train tokenizers and write `{target,speeches,code}/tokenizer.json`.
 *
 * @param corpus Directory of the corpus.
 * @param out Directory of the tokenizers.
 * @param plans How, by name. Defaults to {@linkcode TOKENIZERS}.
 */
export async function trainTokenizers(
  corpus: string,
  out: string,
  plans: Record<string, TokenizerPlan> = TOKENIZERS,
): Promise<void> {
  for (const [name, { options, portions }] of Object.entries(plans)) {
    const texts = await Promise.all(
      portions.map((portion) => readPortion(portion, corpus)),
    );
    await saveTokenizer(
      `${out}/${name}`,
      trainTokenizer(texts.flat(), options),
    );
  }
}
