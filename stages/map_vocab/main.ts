import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import { resolveModel } from "#/models/mod.ts";
import { datasets, type VocabMappingRow, writeDataset } from "#/shards/mod.ts";
import {
  type Command,
  defineCommand,
  type Report,
  runCommand,
} from "#/stages/command.ts";
import { Progress } from "#/stages/progress.ts";
import { tokenizerFiles } from "#/stages/tokenizer_files.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { mapVocab } from "./map_vocab.ts";
import { type MapMethodName, methods } from "./methods/mod.ts";

interface Flags {
  target: string;
  source: string;
  out: string;
  method: MapMethodName;
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
      option("--method", choice(Object.keys(methods) as MapMethodName[]), {
        description:
          message`How tokens without an exact counterpart are mapped`,
      }),
      "min-edit-distance",
    ),
  }),
  mapVocabularies,
);

async function mapVocabularies(
  { target, source, out, method }: Flags,
): Promise<Report> {
  const targetDirectory = await resolveModel(target);
  const sourceDirectory = await resolveModel(source);
  const counts: Counts = { exact: 0, near: 0, none: 0 };
  const { manifest, skipped } = await writeDataset({
    out,
    stage: "map-vocab",
    options: { method },
    inputs: {
      target: tokenizerFiles(targetDirectory),
      source: tokenizerFiles(sourceDirectory),
    },
    schema: datasets.vocabMappings,
    metadata: () => ({ ...counts }),
  }, async function* ({ rows }) {
    const sourceTokenizer = await loadTokenizer(sourceDirectory);
    const targetTokenizer = await loadTokenizer(targetDirectory);
    const mapping = mapVocab(targetTokenizer, sourceTokenizer, { method });
    let left = rows;
    for (
      const row of counted(mapping, sourceTokenizer.vocabSize, counts)
    ) {
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

function* counted(
  rows: Iterable<VocabMappingRow>,
  total: number,
  counts: Counts,
): Generator<VocabMappingRow> {
  using progress = new Progress("map-vocab", total, "tokens");
  let last = -1;
  for (const row of rows) {
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
