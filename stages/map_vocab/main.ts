import { object } from "@optique/core/constructs";
import { message, text } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, integer, string } from "@optique/core/valueparser";
import { resolveModel } from "#/models/mod.ts";
import {
  datasets,
  readRows,
  type VocabMappingRow,
  writeDataset,
} from "#/shards/mod.ts";
import {
  type Command,
  defineCommand,
  list,
  type Report,
  runCommand,
} from "#/stages/command.ts";
import { Progress } from "#/stages/progress.ts";
import { tokenizerFiles } from "#/stages/tokenizer_files.ts";
import {
  loadTokenizer,
  loadVocabulary,
  type Tokenizer,
} from "#/tokenizers/mod.ts";
import { VocabMapper } from "./map_vocab.ts";
import {
  type MapMethod,
  type MapMethodName,
  type MapSetting,
  type MapSettings,
  methods,
} from "./methods/mod.ts";
import {
  mappingDefects,
  withMappingDefects,
} from "./reference/map_reference.ts";

interface Flags {
  target: string;
  source: string;
  out: string;
  method: MapMethodName;
  text: string | undefined;
  space: "bytes" | "string" | undefined;
  window: number | undefined;
  topK: number | undefined;
  workers: number | undefined;
  reference: readonly string[];
}

/** What is known of a mapping when it is there. */
interface Counts {
  /** Source tokens with a token of the same bytes or role. */
  exact: number;
  /** Source tokens with the images of the method. */
  near: number;
  /** Source tokens that nothing stands for. */
  none: number;
}

const directory = string({ metavar: "DIR" });
const names = Object.keys(methods) as MapMethodName[];

/** Every flag that only some methods heed, and what it is called. */
const flagNames = {
  text: "--text",
  space: "--space",
  window: "--window",
  topK: "--top-k",
  reference: "--reference",
} satisfies Record<MapSetting, string>;

/** `pta map-vocab`: source token → target tokens. */
export const command: Command = defineCommand(
  "map-vocab",
  "Map the tokens of a source to tokens of the target",
  object("Map", {
    target: option("--target", directory, {
      description: message`Directory of the target model`,
    }),
    source: option("--source", directory, {
      description: message`Directory of the source model`,
    }),
    out: option("--out", directory, {
      description: message`Where the mapping goes`,
    }),
    method: withDefault(
      option("--method", choice(names), {
        description: [
          text(
            "How tokens without an exact counterpart are mapped: such a token " +
              names.map((name) => `${methods[name].description} (${name})`)
                .join(", "),
          ),
        ],
      }),
      "min-edit-distance",
    ),
    text: optional(option("--text", directory, {
      description:
        message`What split has written, for methods that need a corpus: its training part is read`,
    })),
    space: optional(option("--space", choice(["bytes", "string"]), {
      description:
        message`Whether min-edit-distance counts edits of bytes or of characters (default: bytes)`,
    })),
    window: optional(option("--window", integer({ min: 1 }), {
      description:
        message`Tokens to either side that are company in co-occurrence (default: 5)`,
    })),
    topK: optional(option("--top-k", integer({ min: 1 }), {
      description:
        message`Images of a token at most (default: 8 by projection, 1 by statistics)`,
    })),
    workers: optional(option("--workers", integer({ min: 1 }), {
      description:
        message`Threads that min-edit-distance looks for bytes in; the result is the same (default: 2 for more than 20,000 tokens, else 1)`,
    })),
    reference: list(
      option("--reference", string({ metavar: "DEFECT,DEFECT" }), {
        description: [
          text(
            "Defects of the published mapping that are to be as published, " +
              "the others corrected (default: all of them), or none. " +
              Object.entries(mappingDefects)
                .map(([name, what]) => `${name}: ${what}`).join("; "),
          ),
        ],
      }),
      0,
    ),
  }),
  mapVocabularies,
);

async function mapVocabularies(flags: Flags): Promise<Report> {
  const { out, method } = flags;
  const settings = heededSettings(flags);
  const targetDirectory = await resolveModel(flags.target);
  const sourceDirectory = await resolveModel(flags.source);
  const counts: Counts = { exact: 0, near: 0, none: 0 };
  const { text: corpus } = flags;
  const { manifest, skipped } = await writeDataset({
    out,
    stage: "map-vocab",
    options: { method, ...settings },
    inputs: {
      target: tokenizerFiles(targetDirectory),
      source: tokenizerFiles(sourceDirectory),
      ...(corpus !== undefined && { text: corpus }),
    },
    schema: datasets.vocabMappings,
    metadata: () => ({ ...counts }),
  }, async function* ({ rows }) {
    const load = needsEncoder(method) ? loadTokenizer : loadVocabulary;
    const source = await load(sourceDirectory);
    const target = await load(targetDirectory);
    const mapper = new VocabMapper(target, source, { method, ...settings });
    if (corpus !== undefined) await readCorpus(mapper, corpus);
    const mapped = mapper.rowsBy(workersOf(flags, source));
    let left = rows;
    for await (const row of counted(mapped, source.vocabSize, counts)) {
      if (left-- <= 0) yield row;
    }
  });
  const { exact, near, none } = manifest.metadata as unknown as Counts;
  return {
    text: `${out}: ${exact} tokens exact, ${near} by ${method}, ` +
      `${none} without an image` + (skipped ? " (complete already)" : ""),
    lines: [{
      stage: "map-vocab",
      out,
      rows: manifest.rows,
      exact,
      near,
      none,
      skipped,
    }],
  };
}

function needsEncoder(name: MapMethodName): boolean {
  const { settings, needsEncoder = settings.includes("text") }: MapMethod =
    methods[name];
  return needsEncoder;
}

/** Fewer tokens are mapped before workers have started. */
const WORKER_TOKENS = 20_000;

function workersOf({ workers }: Flags, { vocabSize }: Tokenizer): number {
  const most = Math.min(2, navigator.hardwareConcurrency);
  return workers ?? (vocabSize > WORKER_TOKENS ? most : 1);
}

/** What the method is told, of the flags that are given. */
function heededSettings(flags: Flags): MapSettings {
  const { settings }: MapMethod = methods[flags.method];
  for (const name of Object.keys(flagNames) as MapSetting[]) {
    const isGiven = name === "reference"
      ? flags.reference.length > 0
      : flags[name] !== undefined;
    if (isGiven && !settings.includes(name)) throw unheeded(flags, name);
    if (!isGiven && name === "text" && settings.includes(name)) {
      throw new RangeError(
        `Cannot map by ${flags.method} without a corpus, expected --text`,
      );
    }
  }
  const { space, window, topK, reference } = flags;
  return {
    ...(space && { space }),
    ...(window !== undefined && { window }),
    ...(topK !== undefined && { topK }),
    ...(reference.length > 0 && { defects: defectsOf(reference) }),
  };
}

function unheeded({ method }: Flags, setting: MapSetting): RangeError {
  const heeding = names.filter((name) => {
    const { settings }: MapMethod = methods[name];
    return settings.includes(setting);
  });
  return new RangeError(
    `Cannot map by ${method} with ${
      flagNames[setting]
    }: it does not heed it, ` +
      `expected --method ${heeding.join(" or ")}`,
  );
}

function defectsOf(reference: readonly string[]) {
  const given = reference.flatMap((part) => part.split(","))
    .map((name) => name.trim());
  return withMappingDefects(given.join() === "none" ? [] : given);
}

async function readCorpus(mapper: VocabMapper, corpus: string): Promise<void> {
  for await (const { text } of readRows(corpus, datasets.text)) {
    mapper.read(text);
  }
}

async function* counted(
  rows: AsyncIterable<VocabMappingRow> | Iterable<VocabMappingRow>,
  total: number,
  counts: Counts,
): AsyncGenerator<VocabMappingRow> {
  using progress = new Progress("map-vocab", total, "tokens");
  let last = -1;
  for await (const row of rows) {
    yield row;
    if (row.sourceId === last) continue;
    last = row.sourceId;
    if (row.weight === 0) counts.none++;
    else if (row.distance === 0) counts.exact++;
    else counts.near++;
    if ((last + 1) % 256 === 0 || last + 1 === total) {
      progress.advance((last % 256) + 1);
    }
  }
}

if (import.meta.main) await runCommand(command);
