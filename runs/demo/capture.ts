import { type Flag, pta } from "./pta.ts";

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

/** How sources are aligned. */
export interface Recipe {
  /** What the datasets are called on disk. */
  name: string;
  /** Method of `pta map-vocab`. Defaults to `min-edit-distance`. */
  mapping?: string;
  /** Further flags of `pta map-vocab`. */
  mappingFlags?: Record<string, Flag>;
  /** Flags of `pta align`. */
  align: Record<string, Flag>;
  /** Names of the sources that take part. Defaults to all. */
  sources?: readonly string[];
}

/** Top-k at rest; the tail of such small models is long. */
const TOP_K = 32;

/** Longest block, in tokens of whichever tokenizer needs most. */
export const MAX_TOKENS = 256;

/**
 * Split a corpus so that every block fits every model.
 *
 * @param cast The models.
 * @param text Files of text to learn from.
 * @param out Where `text` goes.
 */
export async function split(
  cast: Cast,
  text: readonly string[],
  out: string,
): Promise<void> {
  await pta("split", {
    text,
    target: cast.target,
    source: Object.values(cast.sources),
    out: `${out}/text`,
    "max-tokens": MAX_TOKENS,
    validation: 0,
  });
}

/**
 * Represent the text by every model.
 *
 * @param cast The models.
 * @param out Where `text` is, and `representations` go.
 * @returns Representations of the target.
 */
export async function represent(cast: Cast, out: string): Promise<string> {
  const { target, sources } = cast;
  for (const [name, model] of Object.entries({ target, ...sources })) {
    await pta("represent", {
      model,
      text: `${out}/text`,
      out: `${out}/representations/${name}`,
      "top-k": TOP_K,
    });
  }
  return `${out}/representations/target`;
}

/**
 * Align every source with the target.
 *
 * @param cast The models, represented already.
 * @param recipe How.
 * @param out Where the representations are, and the datasets go.
 * @returns Aligned representations, one dataset a source.
 */
export async function alignSources(
  cast: Cast,
  {
    name: recipe,
    mapping = "min-edit-distance",
    mappingFlags,
    align,
    sources = Object.keys(cast.sources),
  }: Recipe,
  out: string,
): Promise<string[]> {
  const aligned: string[] = [];
  for (const name of sources) {
    const source = cast.sources[name]!;
    const vocabMapping = `${out}/vocab_mappings/${mapping}/${name}`;
    await pta("map-vocab", {
      target: cast.target,
      source,
      out: vocabMapping,
      method: mapping,
      ...mappingFlags,
    });
    const to = `${out}/aligned/${recipe}/${name}`;
    await pta("align", {
      target: cast.target,
      source,
      "target-representations": `${out}/representations/target`,
      "source-representations": `${out}/representations/${name}`,
      "vocab-mapping": vocabMapping,
      "top-k": TOP_K,
      out: to,
      ...align,
    });
    aligned.push(to);
  }
  return aligned;
}

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
  await split(cast, text, out);
  const target = await represent(cast, out);
  const aligned: Capture["aligned"] = {};
  for (const method of methods) {
    const recipe = { name: method, align: { method } };
    aligned[method] = await alignSources(cast, recipe, out);
  }
  return { target, aligned };
}
