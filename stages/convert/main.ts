import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import { type Compression, convertDataset } from "#/shards/mod.ts";
import {
  type Command,
  defineCommand,
  type Report,
  runCommand,
} from "#/stages/command.ts";

interface Flags {
  data: string;
  out: string;
  compression: Compression;
}

/** `pta convert`. */
export const command: Command = defineCommand(
  "convert",
  "Copy a dataset, its shards compressed or ready to be mapped into memory",
  object("Convert", {
    data: option("--data", string({ metavar: "DIR" }), {
      description: message`A dataset that a stage has written`,
    }),
    out: option("--out", string({ metavar: "DIR" }), {
      description: message`Directory of the copy`,
    }),
    compression: withDefault(
      option("--compression", choice(["none", "zstd"]), {
        description:
          message`How the copy's shards are compressed; without compression, datasets of Python needs no memory for them`,
      }),
      "none",
    ),
  }),
  run,
);

async function run({ data, out, compression }: Flags): Promise<Report> {
  const { rows, tokens } = await convertDataset(data, out, compression);
  return {
    text: `${out}: ${rows} rows, compression ${compression}`,
    lines: [{ out, rows, tokens, compression }],
  };
}

if (import.meta.main) await runCommand(command);
