import { watchCommand } from "#/bench/watch_command.ts";

/** What a process took. */
export interface CommandCost {
  /** From start to end. */
  seconds: number;
  /** Of all its threads together. */
  cpuSeconds: number;
}

/** Clock ticks of Linux's /proc, the same on every machine. */
const TICKS = 100;

/**
 * Run a command and watch what it uses.
 *
 * @param args Arguments of `deno`.
 * @returns How long it took, and how much of the cores; that is NaN where the
 * system has no /proc.
 * @throws {Error} If it fails.
 */
export async function costOfCommand(
  args: readonly string[],
): Promise<CommandCost> {
  let cpuSeconds = NaN;
  const seconds = await watchCommand(args, (pid) => {
    cpuSeconds = cpuSecondsOf(pid) ?? cpuSeconds;
  });
  return { seconds, cpuSeconds };
}

function cpuSecondsOf(pid: number): number | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // The name before them is in brackets and may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS || undefined;
  } catch (error) {
    // A process that has ended says nothing more.
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
