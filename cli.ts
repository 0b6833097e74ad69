import { command as align } from "#/stages/align/main.ts";
import { command as convert } from "#/stages/convert/main.ts";
import { command as evaluate } from "#/stages/evaluate/main.ts";
import { command as generate } from "#/stages/generate/main.ts";
import { command as inspect } from "#/stages/inspect/main.ts";
import { command as mapVocab } from "#/stages/map_vocab/main.ts";
import { command as pack } from "#/stages/pack/main.ts";
import { command as represent } from "#/stages/represent/main.ts";
import { command as split } from "#/stages/split/main.ts";
import { command as train } from "#/stages/train/main.ts";
import { run } from "#/runs/mod.ts";
import { anyOf, type Command, runCommand } from "#/stages/command.ts";

/** Every command of `pta`, in the order of the pipeline. */
const commands: readonly Command[] = [
  split,
  represent,
  mapVocab,
  align,
  pack,
  train,
  evaluate,
  generate,
  inspect,
  convert,
  run,
];

/** The program `pta`. */
export const pta: Command = anyOf(commands);

if (import.meta.main) await runCommand(pta);
