/** How often a process is looked at, in milliseconds. */
const INTERVAL = 10;

/**
 * Run a command and look at its process time and again.
 *
 * @param args Arguments of `deno`.
 * @param look Is given the process's id.
 * @returns How many seconds it took.
 * @throws {Error} If it fails.
 */
export async function watchCommand(
  args: readonly string[],
  look: (pid: number) => void,
): Promise<number> {
  const start = performance.now();
  const process = new Deno.Command(Deno.execPath(), {
    args: [...args],
    stdout: "null",
    stderr: "null",
  }).spawn();
  const timer = setInterval(() => look(process.pid), INTERVAL);
  const { success } = await process.status;
  clearInterval(timer);
  if (!success) throw new Error(`Cannot measure deno ${args.join(" ")}`);
  return (performance.now() - start) / 1000;
}
