import { watchCommand } from "#/bench/watch_command.ts";

/**
 * The most memory this process has had resident since {@linkcode resetOwnPeak}.
 *
 * @returns Bytes; 0 where the system has no /proc.
 * @throws {Deno.errors.NotCapable} Without all permissions, which /proc takes.
 */
export function ownPeak(): number {
  return peakOf("self");
}

/** Forget the peak so far, where the system lets one. */
export function resetOwnPeak(): void {
  try {
    Deno.writeTextFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Then it counts from the start.
  }
}

/**
 * Run a command and watch its memory.
 *
 * @param args Arguments of `deno`.
 * @returns The most bytes it had resident, and how many seconds it took.
 * @throws {Error} If it fails.
 */
export async function peakOfCommand(
  args: readonly string[],
): Promise<{ bytes: number; seconds: number }> {
  let bytes = 0;
  const seconds = await watchCommand(args, (pid) => {
    bytes = Math.max(bytes, peakOf(String(pid)));
  });
  return { bytes, seconds };
}

function peakOf(process: string): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${process}/status`);
    return Number(status.match(/VmHWM:\s+(\d+) kB/)?.[1] ?? 0) * 1024;
  } catch (error) {
    // A process that has ended says nothing more.
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
