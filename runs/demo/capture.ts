import { pta } from "./pta.ts";

/** The models of the demo: the student, and whom it learns from. */
export interface Cast {
  /** Directory of the target. */
  target: string;
  /** Directories of the sources, by name. */
  sources: Record<string, string>;
}

/** What the stages before training leave on disk. */
export interface Capture {
  /** Representations of the target. */
  target: string;
  /** Aligned representations, one dataset a source, by alignment method. */
  aligned: Record<string, string[]>;
}

/** Top-k at rest; the tail of such small models is long. */
const TOP_K = 32;

/** Longest block, in tokens of whichever tokenizer needs most. */
export const MAX_TOKENS = 256;

/**
 * Split, represent, map and align a corpus.
 *
 * @param cast The models.
 * @param text Files of text to learn from.
 * @param methods Alignment methods, such as `optimal-transport`.
 * @param out Where the datasets go.
 * @returns Where they are.
 */
export async function capture(
  cast: Cast,
  text: readonly string[],
  methods: readonly string[],
  out: string,
): Promise<Capture> {
  const models = { target: cast.target, ...cast.sources };
  await pta("split", {
    text,
    target: cast.target,
    source: Object.values(cast.sources),
    out: `${out}/text`,
    "max-tokens": MAX_TOKENS,
    validation: 0,
  });
  for (const [name, model] of Object.entries(models)) {
    await pta("represent", {
      model,
      text: `${out}/text`,
      out: `${out}/representations/${name}`,
      "top-k": TOP_K,
    });
  }
  const aligned: Capture["aligned"] = {};
  for (const [name, source] of Object.entries(cast.sources)) {
    const mapping = `${out}/vocab_mappings/${name}`;
    await pta("map-vocab", { target: cast.target, source, out: mapping });
    for (const method of methods) {
      const to = `${out}/aligned/${method}/${name}`;
      await pta("align", {
        target: cast.target,
        source,
        "target-representations": `${out}/representations/target`,
        "source-representations": `${out}/representations/${name}`,
        "vocab-mapping": mapping,
        method,
        "top-k": TOP_K,
        out: to,
      });
      (aligned[method] ??= []).push(to);
    }
  }
  return { target: `${out}/representations/target`, aligned };
}
