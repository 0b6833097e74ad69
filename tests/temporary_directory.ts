/**
 * Run something in a new directory that is removed afterwards.
 *
 * @param use What to run.
 */
export async function inTemporaryDirectory(
  use: (directory: string) => Promise<void> | void,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
