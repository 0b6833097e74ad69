import { merge, object, or } from "@optique/core/constructs";
import { runParser } from "@optique/core/facade";
import { message, optionNames, text } from "@optique/core/message";
import { map, multiple, withDefault } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { command, option } from "@optique/core/primitives";
import { run } from "@optique/run";

/** What a command leaves on stdout. */
export interface Report {
  /** For a person: printed as it is, with a newline after it. */
  text: string;
  /** For a program: with `--json`, one line of JSON each, and nothing else. */
  lines: readonly object[];
  /**
   * Text that comes piece by piece, printed as it comes and before `text`;
   * `lines` may be filled until it ends.
   */
  stream?: AsyncIterable<string>;
}

/** A command line, parsed and ready to run. */
export interface Invocation {
  /** Whether the report is for a program. */
  json: boolean;
  /** Do what the command line asks for. */
  run(): Promise<Report>;
}

/** A subcommand of `pta`. */
export type Command = Parser<"sync", Invocation, unknown>;

/**
 * Define a subcommand.
 *
 * @example A command that greets
 * ```ts
 * import { object } from "@optique/core/constructs";
 * import { option } from "@optique/core/primitives";
 * import { string } from "@optique/core/valueparser";
 * import { defineCommand } from "#/stages/command.ts";
 *
 * defineCommand(
 *   "greet",
 *   "Say hello",
 *   object({ name: option("--name", string()) }),
 *   ({ name }) => Promise.resolve({ text: `Hello ${name}`, lines: [{ name }] }),
 * );
 * ```
 *
 * @param name What one types.
 * @param description One sentence of `--help`.
 * @param flags The flags, an optique `object()`.
 * @param action What the command does with them.
 * @returns The parser of the whole subcommand.
 */
export function defineCommand<Flags extends object>(
  name: string,
  description: string,
  flags: Parser<"sync", Flags, Record<string | symbol, unknown>>,
  action: (flags: Flags) => Promise<Report>,
): Command {
  const output = object("Output", {
    json: withDefault(
      option("--json", {
        description: message`Print one line of JSON per result instead of text`,
      }),
      false,
    ),
  });
  // merge() cannot see through a generic object type.
  const both = merge(flags as typeof output, output) as unknown as Parser<
    "sync",
    Flags & { json: boolean },
    unknown
  >;
  const parser = map(both, (all) => ({
    json: all.json,
    run: () => action(all),
  }));
  return command(name, parser, {
    brief: [text(description)],
    description: [text(description)],
  }) as Command;
}

/**
 * A flag that takes one value or several: `--text a b` and `--text a --text b`
 * mean the same. {@linkcode runCommand} spreads the first form into the second.
 *
 * @param flag An `option()` that reads one value.
 * @param min How many values are needed at least. Defaults to 1.
 * @returns A parser of the list.
 */
export function list<T>(
  flag: Parser<"sync", T, unknown>,
  min = 1,
): Parser<"sync", readonly T[], readonly unknown[]> {
  const names = flag.usage.flatMap((term) =>
    term.type === "option" ? term.names : []
  );
  const tooFew = message`Missing option ${optionNames(names)}.`;
  return multiple(flag, { min, errors: { tooFew } });
}

/**
 * Parse the command line, run what it asks for, and set the exit code.
 *
 * @param program The parser of everything.
 * @param args The arguments, without the program's name.
 */
export async function runCommand(
  program: Command,
  args: readonly string[] = Deno.args,
): Promise<void> {
  const { json, run: action } = run(program, {
    programName: "pta",
    args: spreadLists(args),
    help: "both",
    completion: "both",
    showDefault: true,
    showChoices: true,
    aboveError: "none",
  });
  try {
    const { text: words, lines, stream = [] } = await action();
    for await (const piece of stream) if (!json) await writeOut(piece);
    const output = json ? lines.map((line) => JSON.stringify(line)) : [words];
    await writeOut(output.map((line) => line + "\n").join(""));
  } catch (error) {
    const text = Deno.env.get("PTA_DEBUG") && error instanceof Error
      ? error.stack
      : describe(error);
    await Deno.stderr.write(new TextEncoder().encode(`error: ${text}\n`));
    // A write past the file size limit sends SIGXFSZ, which another thread of
    // Deno takes a moment to swallow; an exit before that dies of it.
    await new Promise((resolve) => setTimeout(resolve, 100));
    Deno.exit(1);
  }
}

/**
 * Run one command from a program, as if it had been typed.
 *
 * @param command The command.
 * @param args What follows `pta` on the command line, such as
 * `["split", "--text", "a.txt"]`.
 * @returns What the command would print.
 * @throws {SyntaxError} If the arguments do not fit the command.
 */
export async function call(
  command: Command,
  args: readonly string[],
): Promise<Report> {
  let problem = "";
  const { run: action } = runParser(command, "pta", spreadLists(args), {
    stderr: (text) => problem += text,
    onError: () => {
      throw new SyntaxError(`Cannot run pta ${args.join(" ")}: ${problem}`);
    },
  });
  const { stream, ...report } = await action();
  if (!stream) return report;
  const pieces = await Array.fromAsync(stream);
  return { ...report, text: pieces.join("") + report.text };
}

/**
 * Join commands into one that picks by name.
 *
 * @param commands At least two.
 * @returns The parser of any of them.
 */
export function anyOf(commands: readonly Command[]): Command {
  return commands.reduceRight((rest, command) => or(command, rest));
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause.message : "";
  return cause === "" || error.message.includes(cause)
    ? error.message
    : `${error.message}: ${cause}`;
}

/** Repeats the flag before every further value that follows it. */
function spreadLists(args: readonly string[]): string[] {
  const out: string[] = [];
  let flag: string | undefined;
  let values = 0;
  for (const arg of args) {
    if (arg.startsWith("--") && !arg.includes("=")) {
      flag = arg;
      values = 0;
    } else if (!arg.startsWith("-") && flag && values++ > 0) {
      out.push(flag);
    }
    out.push(arg);
  }
  return out;
}

async function writeOut(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  let written = 0;
  while (written < bytes.length) {
    written += await Deno.stdout.write(bytes.subarray(written));
  }
}
