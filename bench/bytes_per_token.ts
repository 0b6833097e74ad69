import type { Comparison, PeerBench } from "#/bench/comparison.ts";
import { blocks } from "#/bench/texts.ts";
import {
  type Compression,
  datasets,
  type RepresentationRow,
  writeDataset,
} from "#/shards/mod.ts";
import { contextFreeRow } from "#/tests/context_free_row.ts";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";

/** Nested lists of int64 and f32 as Hugging Face datasets stores them: quoted. */
const LISTS = 100;

const TOKENIZERS = { llama2: "32k", qwen3: "151k" } as const;

/** What a token's top-10 takes on disk, where no candidate says anything about another. */
export const bytesPerTokenBench: PeerBench = {
  name: "bytes-per-token",
  async run() {
    const lines: Comparison[] = [];
    for (const [tokenizer, size] of Object.entries(TOKENIZERS)) {
      const rows = await sampleRows(tokenizer as keyof typeof TOKENIZERS);
      const plain = await bytesPerToken(rows, "none");
      const each = await bytesPerToken(rows, "zstd");
      lines.push({
        work: `bytes per token at rest, top-10 of ${size}`,
        ours: `${each.toFixed(1)} B (${plain.toFixed(1)} B not compressed)`,
        peer: `nested lists: about ${LISTS} B (quoted)`,
        ratio: LISTS / each,
        goal: "45 B",
      });
    }
    return lines;
  },
};

/** Real text; each candidate is some token of the text. */
async function sampleRows(
  name: keyof typeof TOKENIZERS,
): Promise<RepresentationRow[]> {
  const tokenizer = await loadTokenizer(await realTokenizer(name));
  const random = mulberry32(1);
  const encodings = (await blocks(7600, 16)).map((text) =>
    tokenizer.encode(text)
  );
  const tokens = encodings.flatMap(({ ids }) => [...ids]);
  const draw = () => tokens[Math.floor(random() * tokens.length)]!;
  return encodings.map(({ ids, byteEnds }, block) => {
    const id = `block ${block}`;
    return contextFreeRow({ id, inputIds: ids, byteEnds }, draw, random);
  });
}

async function bytesPerToken(
  rows: readonly RepresentationRow[],
  compression: Compression,
): Promise<number> {
  const tokens = rows.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
  let bytes = 0;
  await inTemporaryDirectory(async (root) => {
    const out = `${root}/representations`;
    const schema = datasets.representations;
    const plan = { out, stage: "represent", options: {}, inputs: {}, schema };
    await writeDataset(
      { ...plan, compression },
      (resume) => rows.slice(resume.rows),
    );
    for await (const { name } of Deno.readDir(out)) {
      if (!name.endsWith(".arrow")) continue;
      bytes += (await Deno.stat(`${out}/${name}`)).size;
    }
  });
  return bytes / tokens;
}
