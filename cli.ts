import { anyOf, type Command, runCommand } from "#/stages/command.ts";

/** Every command of `pta`, in the order of the pipeline. */
const commands: readonly Command[] = [];

/** The program `pta`. */
export const pta: Command = anyOf(commands);

if (import.meta.main) await runCommand(pta);
