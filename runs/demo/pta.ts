import { call, type Report } from "#/stages/command.ts";
import { command as align } from "#/stages/align/main.ts";
import { command as evaluate } from "#/stages/evaluate/main.ts";
import { command as mapVocab } from "#/stages/map_vocab/main.ts";
import { command as pack } from "#/stages/pack/main.ts";
import { command as represent } from "#/stages/represent/main.ts";
import { command as split } from "#/stages/split/main.ts";
import { command as train } from "#/stages/train/main.ts";

const commands = {
  split,
  represent,
  "map-vocab": mapVocab,
  align,
  pack,
  train,
  evaluate,
};

/** A flag's value: `true` is a bare flag, `undefined` leaves it out. */
export type Flag = string | number | readonly string[] | true | undefined;

/**
 * Run one stage as a user would, and show the command that does so.
 *
 * @param stage The command.
 * @param flags Its flags by name, without the dashes.
 * @returns The lines that `--json` would print.
 */
export async function pta(
  stage: keyof typeof commands,
  flags: Record<string, Flag>,
): Promise<Report["lines"]> {
  const args = Object.entries(flags).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (value === true) return [`--${name}`];
    const values = Array.isArray(value) ? value : [value];
    return values.flatMap((one) => [`--${name}`, String(one)]);
  });
  await say(`\n$ pta ${[stage, ...args].join(" ")}\n`);
  const { lines } = await call(commands[stage], [stage, ...args]);
  return lines;
}

/**
 * Tell the person in front of the screen.
 *
 * @param words Written to stderr as they are.
 */
export async function say(words: string): Promise<void> {
  await Deno.stderr.write(new TextEncoder().encode(words));
}
